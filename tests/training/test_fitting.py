"""Training: the numbers of PyTorch's loop, and interruptions that leave no trace."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim, training
from tinygrad_cnn.checkpoint import load, save
from tinygrad_cnn.data import DataLoader, ImageDataset, transforms
from tinygrad_cnn.errors import (
    ArgumentError,
    CheckpointError,
    DivergenceError,
    ShapeError,
)
from tinygrad_cnn.metrics import Scores
from tinygrad_cnn.nn.utils import clip_grad_norm_
from tinygrad_cnn.optim import lr_scheduler
from tinygrad_cnn.training import EndRecord, evaluate, fit
from tinygrad_cnn.training import fitting as environment

BATCHES = 5


def images_and_labels(count, seed=0):
    """8 × 8 images of four classes: a bright quadrant in noise."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 100, (count, 1, 8, 8), dtype=np.uint8)
    labels = rng.integers(0, 4, count)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
    return images, labels


def data_loader(count=4 * BATCHES - 1, transform=None, **options):
    images, labels = images_and_labels(count)
    images.flags.writeable = False  # so that a thread may make batches ahead
    return DataLoader(
        ImageDataset(images, labels, transform),
        **{"batch_size": 4, **options},
    )


def network():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(3 * 36, 4),
    )


def with_momentum(parameters):
    optimizer = optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)
    return optimizer, lr_scheduler.StepLR(optimizer, 1, gamma=0.5)


def with_adam(parameters):
    optimizer = optim.Adam(parameters, lr=0.01, amsgrad=True)
    total = 2 * BATCHES
    return optimizer, lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=total)


def with_plateau(parameters):
    optimizer = optim.RMSprop(parameters, lr=0.01)
    return optimizer, lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)


def with_milestones(parameters):
    optimizer = optim.AdamW(parameters, lr=0.01)
    return optimizer, lr_scheduler.MultiStepLR(optimizer, [1, 2])


KINDS = [with_momentum, with_adam, with_plateau, with_milestones]


class Setup:
    """A seeded model with all that draws random numbers or remembers, ready to train."""

    def __init__(self, kind=with_momentum, seed=7):
        tg.manual_seed(seed)
        self.model = network()
        self.optimizer, self.scheduler = kind(self.model.parameters())
        crop = transforms.Compose([transforms.RandomCrop(8, padding=1)])
        self.loader = data_loader(transform=crop, shuffle=True)
        self.test_loader = data_loader(8, shuffle=True)

    def fit(self, epochs=2, **options):
        return fit(
            self.model,
            self.optimizer,
            self.loader,
            **{
                "epochs": epochs,
                "scheduler": self.scheduler,
                "test_loader": self.test_loader,
                "clip": lambda model: clip_grad_norm_(model.parameters(), 1.0),
                **options,
            },
        )

    def bits(self):
        """Everything that training changes, to the last bit."""
        file = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "random": tg.random.default_generator.get_state(),
        }
        return fingerprint(file)


def fingerprint(tree):
    if isinstance(tree, dict):
        return {k: fingerprint(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [fingerprint(v) for v in tree]
    return tree.numpy().tobytes() if isinstance(tree, tg.Tensor) else tree


def numbers(record):
    """A record without its times."""
    return {
        k: v
        for k, v in record.to_dict().items()
        if k not in ("seconds", "images_per_second")
    }


def untimed(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
        for line in lines
    ]


def steps(run, count):
    """Take records until `count` batches are done."""
    taken = []
    while count:
        taken.append(numbers(next(run)))
        count -= taken[-1]["event"] == "batch"
    return taken


# -------------------------------------------------------------------- the loop as such


def test_the_losses_and_weights_are_those_of_the_same_loop_in_pytorch():
    torch = pytest.importorskip("torch")
    model, loader = network(), data_loader()
    model[3].p = 0.0  # the two draw different numbers
    other = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3),
        torch.nn.BatchNorm2d(3),
        torch.nn.ReLU(),
        torch.nn.Identity(),
        torch.nn.Flatten(),
        torch.nn.Linear(3 * 36, 4),
    )
    state = {
        k: torch.from_numpy(v.numpy().copy()) for k, v in model.state_dict().items()
    }
    other.load_state_dict(state)
    ours = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    theirs = torch.optim.SGD(other.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(theirs, 2, gamma=0.1)
    losses, lrs = [], []
    for _ in range(4):
        for images, labels in loader.batches(0):
            theirs.zero_grad()
            x, y = torch.tensor(images.numpy()), torch.tensor(labels.numpy())
            loss = torch.nn.functional.cross_entropy(other(x), y)
            loss.backward()
            theirs.step()
            losses.append(loss.item())
            lrs.append(theirs.param_groups[0]["lr"])
        schedule.step()
    scheduler = lr_scheduler.StepLR(ours, 2, gamma=0.1)
    run = list(fit(model, ours, loader, epochs=4, scheduler=scheduler))
    batches = [r for r in run if isinstance(r, training.BatchRecord)]
    # Losses near 0 are known to a rounding of the 1 that they are the logarithm of.
    ulp = float(np.finfo(np.float32).eps)
    assert [r.loss for r in batches] == pytest.approx(losses, rel=2e-4, abs=ulp)
    assert [r.lr for r in batches] == pytest.approx(lrs)
    for name, value in other.state_dict().items():
        ours = model.state_dict()[name].numpy()
        np.testing.assert_allclose(ours, value.numpy(), rtol=1e-3, atol=1e-5)


def test_one_cycle_goes_by_batches_and_others_by_epochs():
    torch = pytest.importorskip("torch")
    parameter = torch.zeros(1, requires_grad=True)
    theirs = torch.optim.Adam([parameter], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        theirs, 0.02, total_steps=2 * BATCHES
    )
    lrs = []
    for _ in range(2 * BATCHES):
        lrs.append(theirs.param_groups[0]["lr"])
        theirs.step()
        schedule.step()
    records = [r for r in Setup(with_adam).fit() if isinstance(r, training.BatchRecord)]
    assert [r.lr for r in records] == pytest.approx(lrs)


def test_the_plateau_schedule_watches_the_test_loss(monkeypatch):
    results = iter([3.0, 2.0, 2.5, 1.0, 1.5])
    monkeypatch.setattr(
        training.fitting,
        "evaluate",
        lambda *_: Scores(np.eye(4, dtype=int), next(results)),
    )
    run = Setup(with_plateau).fit(epochs=5)
    lrs = [r.lr for r in run if isinstance(r, training.EpochRecord)]
    assert lrs == pytest.approx([0.01, 0.01, 0.01, 0.005, 0.005])


def test_the_records_count_and_average_the_batches():
    setup = Setup()
    *records, end = list(setup.fit(epochs=2))
    assert end == EndRecord(2, "epochs")
    events = [r.to_dict()["event"] for r in records]
    assert events == (["batch"] * BATCHES + ["epoch"]) * 2
    for epoch in (1, 2):
        *batches, whole = [r for r in records if r.epoch == epoch]
        assert [r.batch for r in batches] == [1, 2, 3, 4, 5]
        assert {r.batches for r in batches} == {BATCHES}
        sizes = [4, 4, 4, 4, 3]
        losses = [r.loss for r in batches]
        mean = sum(n * x for n, x in zip(sizes, losses, strict=True)) / sum(sizes)
        assert batches[1].mean_loss == pytest.approx((losses[0] + losses[1]) / 2)
        assert batches[-1].mean_loss == whole.loss == pytest.approx(mean)
        assert batches[-1].accuracy == whole.accuracy
        assert whole.accuracy * 19 == pytest.approx(round(whole.accuracy * 19))
        assert batches[-1].images_per_second == pytest.approx(19 / whole.seconds)


def test_the_training_accuracy_counts_the_right_answers():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    answers = []
    model.register_forward_hook(
        lambda _module, _x, y: answers.append(y.detach().numpy())
    )
    loader = data_loader()
    run = fit(model, optim.SGD(model.parameters(), lr=0.1), loader, epochs=1)
    labels = np.concatenate([labels.numpy() for _, labels in loader.batches(0)])
    (epoch,) = [r for r in run if isinstance(r, training.EpochRecord)]
    right = sum(np.concatenate(answers).argmax(1) == labels)
    assert epoch.accuracy == pytest.approx(right / 19)


def test_nothing_is_printed(capsys):
    list(Setup().fit())
    assert capsys.readouterr() == ("", "")


def test_without_a_loss_that_of_the_model_is_taken():
    """Here it is twice the cross-entropy, in training, in the test and in `evaluate`."""

    def twice(output, labels):
        return 2 * nn.functional.cross_entropy(output, labels)

    def train(loss, own=None):
        tg.manual_seed(0)
        model = network()
        if own is not None:
            model.loss = own
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        options = {} if loss is None else {"loss": loss}
        run = fit(
            model,
            optimizer,
            data_loader(),
            epochs=1,
            test_loader=data_loader(13),
            **options,
        )
        losses = [record.loss for record in run if not isinstance(record, EndRecord)]
        return [*losses, evaluate(model, data_loader(13), loss).loss]

    assert train(None, own=twice) == train(twice)
    assert train(None) == train(nn.functional.cross_entropy)
    first = train(None, own=twice)[0] / train(None)[0]
    assert first == pytest.approx(2, rel=1e-6)


def test_a_list_of_batches_serves_as_a_loader():
    batches = list(data_loader().batches(0))
    model = network()
    run = fit(
        model, optim.SGD(model.parameters()), batches, epochs=1, test_loader=batches
    )
    assert len(list(run)) == BATCHES + 2


def test_a_list_of_batches_is_resumed_behind_those_that_were_done(tmp_path):
    path, batches = tmp_path / "a.ckpt", list(data_loader().batches(0))
    setup = Setup()
    setup.loader = batches
    expected = [numbers(r) for r in setup.fit()]
    run = Setup()
    run.loader = batches
    records = run.fit(checkpoint=path)
    taken = steps(records, 3)
    records.close()
    assert taken + [numbers(r) for r in run.fit(resume=path)] == expected


def test_each_epoch_has_the_loaders_order_and_the_position_stays_the_callers():
    setup, seen = Setup(), []
    setup.model.register_forward_pre_hook(lambda _module, x: seen.append(x[0].numpy()))
    list(setup.fit(test_loader=None))
    assert setup.loader.epoch == 0
    expected = [x.numpy() for epoch in (0, 1) for x, _ in setup.loader.batches(epoch)]
    assert len(seen) == len(expected)
    assert all(map(np.array_equal, seen, expected))


def test_training_learns_to_tell_the_classes():
    setup = Setup(with_milestones)
    *_, last, _end = setup.fit(epochs=15, scheduler=None, test_loader=data_loader(40))
    assert last.test.accuracy > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 2, "test_loader": None}, "test_loader"),
        ({"save_every": 2}, "checkpoint"),
        ({"save_every": 0, "checkpoint": "a.ckpt"}, "at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        next(Setup().fit(**options))


def test_a_loader_without_batches_is_refused():
    model = network()
    with pytest.raises(ArgumentError, match="no batches"):
        list(fit(model, optim.SGD(model.parameters()), [], epochs=1))


# -------------------------------------------------------------------------- evaluation


def test_evaluation_agrees_with_a_loop_over_the_images():
    model, loader = network(), data_loader(40)
    list(fit(model, optim.SGD(model.parameters(), lr=0.1), loader, epochs=2))
    scores = evaluate(model, data_loader(13))
    model.eval()
    confusion, total = np.zeros((4, 4), int), 0.0
    for image, label in data_loader(13, batch_size=None):
        logits = model(image.reshape(1, 1, 8, 8)).detach().numpy()[0].astype(float)
        confusion[int(label), logits.argmax()] += 1
        total -= math.log(math.exp(logits[int(label)]) / np.exp(logits).sum())
    assert scores.confusion.tolist() == confusion.tolist()
    assert scores.loss == pytest.approx(total / 13, rel=1e-4)


def test_evaluation_records_nothing_and_changes_no_mode_statistics_or_random_stream():
    model = network()
    model[1].eval()
    modes = [m.training for m in model.modules()]
    before = fingerprint(model.state_dict()), tg.random.default_generator.get_state()
    recorded = []
    model.register_forward_hook(lambda *_: recorded.append(tg.is_grad_enabled()))
    evaluate(model, data_loader())
    assert not any(recorded)
    assert tg.is_grad_enabled()
    assert [m.training for m in model.modules()] == modes
    after = fingerprint(model.state_dict()), tg.random.default_generator.get_state()
    assert before == after


def test_the_modes_come_back_when_evaluation_fails():
    model = network().train()
    with pytest.raises(ShapeError):
        evaluate(model, [(tg.zeros(2, 1, 3, 3), tg.tensor([0, 1]))])
    assert all(m.training for m in model.modules())


def test_classes_must_be_on_axis_1():
    """Where shapes agree by chance, NumPy would compare what does not belong together."""
    batch = tg.zeros(4, 3, 2), tg.zeros(4, 3, dtype=np.int64)

    def loss(output, labels):
        return output.sum()

    for act in (
        lambda: evaluate(nn.Identity(), [batch], loss),
        lambda: training.fitting._count_right(*batch),
    ):
        with pytest.raises(ShapeError, match=r"\[4, 3, 2\] and \[4, 3\]: bring"):
            act()
    assert (
        training.fitting._count_right(tg.zeros(4, 2, 3), tg.zeros(4, 3, dtype=np.int64))
        == 12
    )


def test_evaluating_nothing_is_refused():
    with pytest.raises(ArgumentError, match="no images"):
        evaluate(network(), [])


# -------------------------------------------------------------------------- early stops


def test_training_ends_with_the_epoch_that_reaches_the_accuracy():
    *_, last, end = Setup(with_milestones).fit(epochs=50, stop_at_accuracy=0.6)
    assert last.accuracy >= 0.6
    assert end == EndRecord(last.epoch, "accuracy")
    assert end.epoch < 50


def scripted(monkeypatch, results):
    """Evaluation that gives these (accuracy in quarters, loss) in turn."""
    given = iter(results)

    def evaluated(*_arguments):
        quarters, loss = next(given)
        confusion = np.zeros((2, 2), int)
        confusion[0] = quarters, 4 - quarters
        return Scores(confusion, loss)

    monkeypatch.setattr(training.fitting, "evaluate", evaluated)


@pytest.mark.parametrize(
    ("results", "epochs"),
    [
        ([(1, 1.0), (2, 1.0), (2, 1.0), (1, 0.1), (4, 0.1)], 4),
        ([(1, 1.0), (1, 0.9), (1, 0.8), (1, 0.7), (1, 0.6)], 5),
        ([(3, 1.0), (2, 0.5), (1, 0.1), (3, 2.0)], 3),
    ],
)
def test_patience_counts_epochs_without_a_better_test_accuracy(
    monkeypatch, results, epochs
):
    scripted(monkeypatch, results)
    *_, end = Setup(with_momentum).fit(epochs=5, patience=2)
    assert end.epoch == epochs
    assert end.reason == ("patience" if epochs < 5 else "epochs")


def test_patience_goes_on_counting_after_a_resume(monkeypatch, tmp_path):
    results = [(3, 1.0), (2, 1.0), (2, 1.0), (2, 1.0)]
    scripted(monkeypatch, results)
    path = tmp_path / "a.ckpt"
    list(Setup().fit(epochs=2, patience=3, checkpoint=path))
    scripted(monkeypatch, results[2:])
    *_, end = Setup().fit(epochs=9, patience=3, resume=path)
    assert end == EndRecord(4, "patience")


def test_a_run_that_has_stopped_stays_stopped_until_more_is_asked_of_it(tmp_path):
    path = tmp_path / "a.ckpt"
    *_, end = Setup(with_milestones).fit(50, stop_at_accuracy=0.6, checkpoint=path)
    again = Setup(with_milestones).fit(50, stop_at_accuracy=0.6, resume=path)
    assert list(again) == [end]
    further = Setup(with_milestones).fit(end.epoch + 1, resume=path)
    assert list(further)[-1] == EndRecord(end.epoch + 1, "epochs")


# ----------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_closed_after_any_step_goes_on_to_the_bit(kind, tmp_path):
    straight = Setup(kind)
    expected = [numbers(r) for r in straight.fit(log=tmp_path / "straight")]
    bits = straight.bits()
    for step in range(1, 2 * BATCHES):
        path, log = tmp_path / f"{step}.ckpt", tmp_path / f"{step}.jsonl"
        run = Setup(kind).fit(checkpoint=path, log=log)
        first = steps(run, step)
        run.close()
        resumed = Setup(kind, seed=99)
        rest = [numbers(r) for r in resumed.fit(resume=path, log=log)]
        assert first + rest == expected
        assert resumed.bits() == bits
        assert untimed(log) == untimed(tmp_path / "straight")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_interrupted_after_every_single_step_goes_on_to_the_bit(kind, tmp_path):
    epochs = 2 if kind is with_adam else 4
    straight = Setup(kind)
    expected = [numbers(r) for r in straight.fit(epochs)]
    bits, path, taken = straight.bits(), tmp_path / "a.ckpt", []
    for step in range(epochs * BATCHES):
        setup = Setup(kind, seed=7 + step)
        run = setup.fit(epochs, checkpoint=path, resume=path if step else None)
        taken += steps(run, 1)
        run.close()
    setup = Setup(kind, seed=99)
    taken += [numbers(r) for r in setup.fit(epochs, resume=path)]
    assert taken == expected
    assert setup.bits() == bits


def test_saving_every_few_batches_leaves_a_checkpoint_to_go_on_from(tmp_path):
    straight = Setup()
    expected = [numbers(r) for r in straight.fit()]
    path = tmp_path / "a.ckpt"
    run = Setup().fit(checkpoint=path, save_every=2)
    first = steps(run, 3)
    content = path.read_bytes()
    run.close()
    path.write_bytes(content)  # as if the process had been killed
    resumed = Setup(seed=1)
    rest = [numbers(r) for r in resumed.fit(resume=path)]
    assert first[:2] + rest == expected
    assert resumed.bits() == straight.bits()


def test_a_checkpoint_is_written_after_each_epoch(tmp_path):
    path, positions = tmp_path / "a.ckpt", []
    for record in Setup().fit(checkpoint=path):
        if isinstance(record, training.EpochRecord):
            progress = load(path)["progress"]
            positions.append((progress["epoch"], progress["batch"]))
    assert positions == [(1, 0), (2, 0)]


def test_ctrl_c_within_a_batch_waits_for_its_end_and_saves(tmp_path):
    straight = Setup()
    expected = [numbers(r) for r in straight.fit()]
    bits = straight.bits()
    path, log, calls = tmp_path / "a.ckpt", tmp_path / "a.jsonl", []

    def interrupt(_module, _x, _y):
        calls.append(1)
        if len(calls) == 7:
            signal.raise_signal(signal.SIGINT)

    setup = Setup()
    setup.model[2].register_forward_hook(interrupt)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        list(setup.fit(checkpoint=path, log=log, test_loader=None))
    assert signal.getsignal(signal.SIGINT) is handler
    assert load(path)["progress"]["batch"] == 7 - BATCHES
    resumed = Setup(seed=3)
    rest = [numbers(r) for r in resumed.fit(resume=path, log=log, test_loader=None)]
    assert [r["loss"] for r in rest if "loss" in r][:3] == [
        r["loss"] for r in expected if r["event"] == "batch"
    ][7:]
    assert resumed.bits()["model"] == bits["model"]
    assert [(r["event"], r["epoch"], r.get("batch")) for r in untimed(log)] == [
        (r["event"], r["epoch"], r.get("batch")) for r in expected
    ]


def test_a_second_ctrl_c_ends_the_batch_at_once_and_saves_nothing_half_done(tmp_path):
    path, calls = tmp_path / "a.ckpt", []

    def interrupt(_module, _x, _y):
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    setup = Setup()
    setup.model[2].register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(setup.fit(checkpoint=path, save_every=2))
    assert load(path)["progress"]["batch"] == 2


def test_ctrl_c_in_the_callers_loop_saves_the_last_batch(tmp_path):
    path = tmp_path / "a.ckpt"
    with pytest.raises(KeyboardInterrupt):
        for record in Setup().fit(checkpoint=path):
            if record.batch == 3:
                raise KeyboardInterrupt
    assert load(path)["progress"]["batch"] == 3


def test_a_run_that_has_done_nothing_leaves_an_old_checkpoint_as_it_is(tmp_path):
    path = tmp_path / "a.ckpt"
    list(Setup().fit(epochs=1, checkpoint=path))
    before = path.read_bytes()
    Setup().fit(checkpoint=path).close()
    run = Setup().fit(epochs=0, checkpoint=path)
    assert next(run) == EndRecord(0, "epochs")
    run.close()
    assert path.read_bytes() == before


def test_an_error_in_the_callers_loop_saves_the_last_batch(tmp_path):
    path = tmp_path / "a.ckpt"
    with (
        pytest.raises(ZeroDivisionError),
        contextlib.closing(Setup().fit(checkpoint=path)) as run,
    ):
        for record in run:
            if record.batch == 2:
                raise ZeroDivisionError
    assert load(path)["progress"]["batch"] == 2


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_fitting import Setup
path, kill_at = sys.argv[2], int(sys.argv[3])
resume = path if os.path.exists(path) else None
done = 0
for record in Setup().fit(checkpoint=path, save_every=1, resume=resume):
    done += "batch" in record.to_dict()
    if done == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_is_resumed_to_the_bit_by_another(tmp_path):
    path = tmp_path / "a.ckpt"
    for kill_at, status in ((3, -signal.SIGKILL), (99, 0)):
        arguments = [os.path.dirname(__file__), path, str(kill_at)]
        done = subprocess.run([sys.executable, "-c", KILLED, *arguments])
        assert done.returncode == status
    setup = Setup()
    list(setup.fit())
    saved = load(path)
    assert fingerprint(saved["model"]) == setup.bits()["model"]
    assert fingerprint(saved["optimizer"]) == setup.bits()["optimizer"]
    assert saved["random"] == tg.random.default_generator.get_state()


# ------------------------------------------------------------- what a checkpoint says


def test_metadata_and_the_manifest_are_in_the_checkpoint(tmp_path):
    path = tmp_path / "a.ckpt"
    list(Setup().fit(epochs=1, checkpoint=path, metadata={"model": "net.py:Net"}))
    saved = load(path)
    assert saved["metadata"] == {"model": "net.py:Net"}
    manifest = saved["manifest"]
    assert manifest["seed"] == 7
    assert manifest["numpy"] == np.__version__
    assert manifest["dtype"] == "float32"
    assert manifest["batches"] == BATCHES


@pytest.mark.parametrize(
    ("key", "value"), [("numpy", "1.0"), ("dtype", "float64"), ("batches", 938)]
)
def test_a_resume_under_other_circumstances_warns_in_a_sentence(key, value, tmp_path):
    path = tmp_path / "a.ckpt"
    list(Setup().fit(epochs=1, checkpoint=path))
    saved = load(path)
    saved["manifest"][key] = value
    save(saved, path)
    with pytest.warns(
        UserWarning, match=f"not go on to the bit: {key} was {value}, is"
    ):
        list(Setup().fit(resume=path))


def test_other_blas_threads_warn_and_the_losses_stay_close(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    monkeypatch.setattr(environment, "_blas", lambda: "openblas 0.3 Haswell 1")
    list(Setup().fit(epochs=1, checkpoint=path))
    monkeypatch.setattr(environment, "_blas", lambda: "openblas 0.3 Haswell 2")
    with pytest.warns(UserWarning, match="blas was openblas 0.3 Haswell 1, is .* 2"):
        list(Setup().fit(resume=path))
    monkeypatch.setattr(environment, "_blas", lambda: None)
    list(Setup().fit(resume=path))  # what is not known is not compared


def test_a_file_that_is_no_checkpoint_of_training_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    save({"model": {}}, path)
    with pytest.raises(CheckpointError):
        next(Setup().fit(resume=path))
    save([1, 2], path)
    with pytest.raises(CheckpointError, match=r"a\.ckpt is no checkpoint of training"):
        next(Setup().fit(resume=path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("progress", {"epoch": "os.system"}),
        ("progress", {"import": 1}),
        ("progress", []),
        ("random", {"seed": 1}),
        ("random", {}),
        ("optimizer", {}),
        ("manifest", None),
        ("scheduler", None),
    ],
)
def test_a_checkpoint_with_a_wrong_part_is_refused(key, value, tmp_path):
    path = tmp_path / "a.ckpt"
    list(Setup().fit(epochs=1, checkpoint=path))
    saved = load(path)
    saved[key] = value
    save(saved, path)
    with pytest.raises((CheckpointError, ArgumentError)):
        next(Setup().fit(resume=path))


def test_the_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    list(Setup().fit(epochs=1, checkpoint=path))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    run = fit(
        model, optim.SGD(model.parameters()), data_loader(), epochs=2, resume=path
    )
    with pytest.raises(CheckpointError, match="size mismatch"):
        next(run)


# --------------------------------------------------------------------------- divergence


def test_a_loss_that_is_not_finite_is_named_and_nothing_bad_is_saved(tmp_path):
    path, setup, calls = tmp_path / "a.ckpt", Setup(), []

    def spoil(_module, _x, y):
        calls.append(1)
        return y * float("nan") if len(calls) == BATCHES + 3 else None

    setup.model[5].register_forward_hook(spoil)
    with pytest.raises(DivergenceError, match="loss is nan in epoch 2, batch 3"):
        list(setup.fit(checkpoint=path, save_every=1, test_loader=None))
    saved = load(path)
    assert (saved["progress"]["epoch"], saved["progress"]["batch"]) == (1, 2)
    assert all(np.isfinite(t.numpy()).all() for t in saved["model"].values())


def test_weights_that_are_not_finite_are_named_and_not_saved(tmp_path):
    path, setup = tmp_path / "a.ckpt", Setup()
    list(setup.fit(epochs=1, checkpoint=path))
    before = path.read_bytes()

    def spoil(model):
        model[5].bias.grad = model[5].bias.grad * float("inf")

    with pytest.raises(DivergenceError, match=r"parameter 5\.bias .* epoch 2, batch 1"):
        list(Setup().fit(checkpoint=path, save_every=1, resume=path, clip=spoil))
    assert path.read_bytes() == before


# -------------------------------------------------------------------------------- log


def test_the_log_holds_each_record_as_a_line_of_json(tmp_path):
    log = tmp_path / "a.jsonl"
    lengths, records = [], []
    for record in Setup().fit(log=log):
        records.append(record.to_dict())
        lengths.append(len(log.read_text().splitlines()))
    assert lengths == list(range(1, len(records) + 1))
    assert [json.loads(line) for line in log.read_text().splitlines()] == records


def test_a_resumed_log_loses_what_came_after_the_checkpoint_and_torn_lines(tmp_path):
    log, path = tmp_path / "a.jsonl", tmp_path / "a.ckpt"
    list(Setup().fit(log=tmp_path / "straight"))
    run = Setup().fit(log=log, checkpoint=path)
    steps(run, 2)
    run.close()
    with open(log, "a") as file:
        file.write('{"event": "batch", "epoch": 1, "batch": 3}\n{"event": "ba')
    list(Setup().fit(log=log, resume=path))
    assert untimed(log) == untimed(tmp_path / "straight")


def test_a_new_run_appends_to_a_log_and_spoils_nothing(tmp_path):
    log, path = tmp_path / "a.jsonl", tmp_path / "a.ckpt"
    log.write_text("a line of somebody else's")
    list(Setup().fit(epochs=1, log=log, checkpoint=path))
    list(Setup().fit(epochs=2, log=tmp_path / "b.jsonl", resume=path))
    first, *rest = log.read_text().splitlines()
    assert first == "a line of somebody else's"
    assert [json.loads(line)["event"] for line in rest][-1] == "end"
    more = untimed(tmp_path / "b.jsonl")
    assert [line["epoch"] for line in more if line["event"] == "epoch"] == [2]


def test_an_interrupted_script_says_so_and_can_be_resumed(tmp_path):
    script = textwrap.dedent("""
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        from test_fitting import Setup
        for record in Setup().fit(epochs=1000, checkpoint=sys.argv[2], scheduler=None):
            if record.to_dict()["event"] == "epoch":
                print("epoch", flush=True)
    """)
    arguments = [os.path.dirname(__file__), tmp_path / "a.ckpt"]
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == -signal.SIGINT
    assert load(tmp_path / "a.ckpt")["progress"]["epoch"] >= 1


def trained(planned, **options):
    """A network with batch normalisation, in float64, after two epochs of training."""
    tg.manual_seed(3)
    # A bias before the normalisation has no gradient, of which Adam would make steps.
    convolution = nn.Conv2d(1, 3, 3, bias=False)
    layers = convolution, nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(27, 4)).double()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    loader = data_loader(transform=transforms.Lambda(doubled), shuffle=True)
    records = list(fit(model, optimizer, loader, planned=planned, **options))
    return records, model


def doubled(image):
    return np.asarray(image, np.float64) / 255


def test_planned_training_is_training():
    usual, planned = (trained(way, epochs=2) for way in (False, True))
    for a, b in zip(usual[0], planned[0], strict=True):
        assert type(a) is type(b)
        if not isinstance(a, EndRecord):
            np.testing.assert_allclose(a.loss, b.loss, rtol=1e-12)
    for (name, a), b in zip(
        usual[1].state_dict().items(), planned[1].state_dict().values(), strict=True
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, err_msg=name)


def test_planned_training_goes_on_to_the_bit(tmp_path):
    _, whole = trained(True, epochs=2)
    path = tmp_path / "half.ckpt"
    trained(True, epochs=1, checkpoint=path)
    _, resumed = trained(True, epochs=2, resume=path)
    for a, b in zip(
        whole.state_dict().values(), resumed.state_dict().values(), strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_training_says_why_its_steps_are_not_replayed():
    model = nn.Sequential(nn.Flatten(), nn.AlphaDropout(0.1), nn.Linear(64, 4))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(UserWarning, match="steps are not replayed: it draws random num"):
        list(fit(model, optimizer, data_loader(), epochs=1, planned=True))


def test_plans_change_no_bit():
    found = []
    for planned in (None, False):
        setup = Setup()
        list(setup.fit(2, planned=planned))
        found.append(setup.bits())
    assert found[0] == found[1]


def test_planned_training_stops_where_it_diverges():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    model[1].weight.data.fill_(math.inf)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with (
        pytest.raises(DivergenceError, match="the loss is nan in epoch 1, batch 1"),
        pytest.warns(UserWarning, match="steps are not replayed: the result"),
    ):
        list(fit(model, optimizer, data_loader(), epochs=1, planned=True))
