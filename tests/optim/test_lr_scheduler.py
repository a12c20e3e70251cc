"""Learning rate schedules: PyTorch's sequences, and the closed forms."""

import copy
import inspect
import json
import math
import re

import numpy as np
import pytest
from each import for_each
from hypothesis import given
from hypothesis import strategies as st
from pytorch import torch

import tinygrad_cnn
from tinygrad_cnn import optim, tensor
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.optim import lr_scheduler

STEPS = 30
LOSSES = [
    5,
    4,
    4.2,
    4.1,
    3.9999,
    3.9,
    3.9,
    3.9,
    3.9,
    3.9,
    2,
    3,
    3,
    3,
    3,
    3,
    3,
    3,
    1.5,
    2,
]


def half_life(epoch):
    return 0.5 ** (epoch / 4)


class Warmup:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, epoch):
        return min(1.0, (epoch + 1) / self.steps)


CASES = [
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [3, 8, 8, 20]}),
    ("MultiStepLR", {"milestones": [20, 2], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("CosineAnnealingLR", {"T_max": 10}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.003}),
    ("CosineAnnealingLR", {"T_max": 100, "eta_min": 1}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 11}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 20}),
    ("LambdaLR", {"lr_lambda": half_life}),
    ("LambdaLR", {"lr_lambda": [Warmup(5), half_life]}),
    ("MultiplicativeLR", {"lr_lambda": half_life}),
    ("MultiplicativeLR", {"lr_lambda": [Warmup(5), half_life]}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.7, "total_iters": 9}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 20, "power": 2.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.8, "step_size_up": 4}),
    (
        "CyclicLR",
        {
            "base_lr": [0.1, 0.2],
            "max_lr": 1,
            "step_size_up": 3,
            "step_size_down": 5,
            "mode": "triangular2",
            "base_momentum": [0.5, 0.7],
        },
    ),
    (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.8, "step_size_up": 4, "mode": "exp_range"}
        | {"gamma": 0.97, "cycle_momentum": False},
    ),
    (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.8, "step_size_up": 4, "scale_fn": half_life},
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": STEPS}),
    ("OneCycleLR", {"max_lr": [0.5, 2.0], "epochs": 8, "steps_per_epoch": 5}),
    ("OneCycleLR", {"max_lr": 1, "total_steps": STEPS, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": STEPS, "three_phase": True}),
    (
        "OneCycleLR",
        {
            "max_lr": 1.0,
            "total_steps": 40,
            "three_phase": True,
            "pct_start": 0.25,
            "anneal_strategy": "linear",
            "base_momentum": [0.5, 0.7],
            "max_momentum": 0.99,
            "div_factor": 10.0,
            "final_div_factor": 100.0,
        },
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 50, "cycle_momentum": False}),
    ("ReduceLROnPlateau", {"patience": 2}),
    ("ReduceLROnPlateau", {"patience": 1, "cooldown": 2, "factor": 0.5}),
    ("ReduceLROnPlateau", {"patience": 0, "mode": "max", "min_lr": [0.01, 0.1]}),
    ("ReduceLROnPlateau", {"patience": 0, "threshold_mode": "abs", "threshold": 0.5}),
    (
        "ReduceLROnPlateau",
        {"patience": 1, "threshold_mode": "abs", "mode": "max", "threshold": 0.5},
    ),
    ("ReduceLROnPlateau", {"patience": 0, "threshold": 0.3, "eps": 0.005}),
    ("ReduceLROnPlateau", {"patience": 0, "mode": "max", "threshold": 0.3}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
schedules = for_each(("name", "options"), CASES, ids=IDS)


def make_optimizer(library, kind="SGD"):
    """Two groups, with the learning rates 0.2 and 0.7."""
    groups = [{"params": [library.ones(1)], "lr": lr} for lr in (0.2, 0.7)]
    more = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(library.optim, kind)(groups, **more)


def make(library, name, options, kind="SGD"):
    optimizer = make_optimizer(library, kind)
    schedule = getattr(library.optim.lr_scheduler, name)
    return optimizer, schedule(optimizer, **copy.deepcopy(options))


def go(optimizer, scheduler, first=0, last=STEPS):
    """The (lr, momentum or betas) of each group, now and after each step."""
    seen = []
    for t in range(first, last):
        seen.append(
            [
                (g["lr"], g.get("momentum"), g.get("betas"))
                for g in optimizer.param_groups
            ]
        )
        assert scheduler.get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        optimizer.step()
        if type(scheduler).__name__ == "ReduceLROnPlateau":
            scheduler.step(LOSSES[t % len(LOSSES)])
        else:
            scheduler.step()
    return seen


@schedules
@for_each("kind", ["SGD", "Adam"])
def test_the_whole_sequence_equals_pytorchs_to_the_bit(name, options, kind):
    found = go(*make(tinygrad_cnn, name, options, kind))
    assert found == go(*make(torch, name, options, kind))
    assert len({lrs[0][0] for lrs in found}) > 1, "the schedule did something"


@schedules
def test_a_restored_schedule_goes_on_to_the_bit_through_json(name, options):
    optimizer, scheduler = make(tinygrad_cnn, name, options)
    go(optimizer, scheduler, 0, 11)
    saved = json.loads(json.dumps(scheduler.state_dict()))
    groups = copy.deepcopy(optimizer.state_dict())
    expected = go(optimizer, scheduler, 11)
    optimizer, scheduler = make(tinygrad_cnn, name, options)
    optimizer.load_state_dict(groups)
    scheduler.load_state_dict(saved)
    assert go(optimizer, scheduler, 11) == expected


@schedules
def test_pytorchs_state_is_taken_over(name, options):
    optimizer, scheduler = make(torch, name, options)
    go(optimizer, scheduler, 0, 11)
    saved = copy.deepcopy(scheduler.state_dict())
    groups = copy.deepcopy(optimizer.state_dict()["param_groups"])
    expected = go(optimizer, scheduler, 11)
    ours, ours_scheduler = make(tinygrad_cnn, name, options)
    assert ours_scheduler.state_dict().keys() <= saved.keys()
    ours.load_state_dict({"state": {}, "param_groups": groups})
    ours_scheduler.load_state_dict(saved)
    assert go(ours, ours_scheduler, 11) == expected


@for_each("name", sorted({name for name, _ in CASES}))
def test_the_signature_is_pytorchs(name):
    ours = inspect.signature(getattr(lr_scheduler, name)).parameters
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


@for_each(
    ("name", "options"), [case for case in CASES if case[0] != "ReduceLROnPlateau"]
)
def test_a_run_that_knows_only_its_epoch_starts_there_as_pytorchs_does(name, options):
    sequences = []
    for library in (tinygrad_cnn, torch):
        optimizer, scheduler = make(library, name, options)
        go(optimizer, scheduler, 0, 6)
        kind = getattr(library.optim.lr_scheduler, name)
        sequences.append(go(optimizer, kind(optimizer, last_epoch=5, **options), 0, 20))
    assert sequences[0] == sequences[1]


def test_one_cycle_resumed_keeps_the_rates_that_its_groups_have():
    ends = []
    for library in (tinygrad_cnn, torch):
        optimizer, scheduler = make(
            library, "OneCycleLR", {"max_lr": 1.0, "total_steps": 20}
        )
        go(optimizer, scheduler, 0, 6)
        kind = library.optim.lr_scheduler.OneCycleLR
        resumed = kind(optimizer, max_lr=9.0, total_steps=20, last_epoch=5)
        ends.append(go(optimizer, resumed, 0, 14))
    assert ends[0] == ends[1]


def test_of_a_callable_object_the_attributes_are_restored():
    def with_warmup(steps):
        return make(tinygrad_cnn, "LambdaLR", {"lr_lambda": [Warmup(steps), math.exp]})

    saved = [x.state_dict() for x in with_warmup(9)]
    optimizer, scheduler = with_warmup(2)
    optimizer.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    found = [first for (first, *_), _ in go(optimizer, scheduler, 0, 9)]
    close(found, 0.2 * np.arange(1, 10) / 9)


# ------------------------------------------------------------------- made of others


COMBINED = {
    "in turn": lambda kinds, o: kinds.SequentialLR(
        o,
        [
            kinds.LinearLR(o, 0.1, total_iters=4),
            kinds.CosineAnnealingLR(o, 6),
            kinds.MultiplicativeLR(o, half_life),
            kinds.CosineAnnealingWarmRestarts(o, 3),
            kinds.StepLR(o, 3, 0.5),
        ],
        milestones=[4, 11, 15, 21],
    ),
    "together": lambda kinds, o: kinds.ChainedScheduler(
        [kinds.ConstantLR(o, 0.1, 4), kinds.ExponentialLR(o, 0.9)]
    ),
    "both": lambda kinds, o: kinds.SequentialLR(
        o,
        [
            kinds.ChainedScheduler([kinds.LinearLR(o), kinds.ExponentialLR(o, 0.9)]),
            kinds.PolynomialLR(o, 9),
        ],
        [8],
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call")  # PyTorch does so itself in "both"
@for_each("make_schedule", COMBINED.values(), ids=COMBINED)
def test_combined_schedules_equal_pytorchs_and_can_be_restored(make_schedule):
    pairs = [make_optimizer(library) for library in (tinygrad_cnn, torch)]
    kinds = lr_scheduler, torch.optim.lr_scheduler
    ours, theirs = (make_schedule(k, o) for k, o in zip(kinds, pairs, strict=True))
    assert go(pairs[0], ours, 0, 12) == go(pairs[1], theirs, 0, 12)
    saved = json.loads(json.dumps(ours.state_dict()))
    groups = copy.deepcopy(pairs[0].state_dict())
    expected = go(pairs[1], theirs, 12)
    assert go(pairs[0], ours, 12) == expected
    again = make_optimizer(tinygrad_cnn)
    restored = make_schedule(lr_scheduler, again)
    again.load_state_dict(groups)
    restored.load_state_dict(saved)
    assert go(again, restored, 12) == expected


@for_each("options", [{}, {"anneal_strategy": "linear", "anneal_epochs": 4}])
def test_swalr_equals_pytorchs(options):
    found = []
    for library in (tinygrad_cnn, torch):
        optimizer = make_optimizer(library)
        kind = library.optim.swa_utils.SWALR
        found.append(go(optimizer, kind(optimizer, [0.01, 0.05], **options)))
    assert found[0] == found[1]


def test_warm_restarts_go_to_any_place():
    found = []
    for library in (tinygrad_cnn, torch):
        for factor in (1, 2):
            options = {"T_0": 3, "T_mult": factor}
            _, scheduler = make(library, "CosineAnnealingWarmRestarts", options)
            for epoch in (0.5, 2.75, 4, 9.25, 1):
                scheduler.step(epoch)
                found.append(scheduler.get_last_lr())
    close(found[:10], found[10:])


# ---------------------------------------------------------------------- closed forms


def rates(kind, steps, **options):
    optimizer = optim.SGD([tensor(1.0)], lr=0.8)
    scheduler = kind(optimizer, **options)
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_step_lr_falls_once_a_period():
    found = rates(lr_scheduler.StepLR, 12, step_size=5, gamma=0.1)
    close(found, [0.8] * 5 + [0.08] * 5 + [0.008] * 2)


def test_multi_step_lr_falls_at_its_milestones():
    found = rates(lr_scheduler.MultiStepLR, 6, milestones=[2, 4, 4], gamma=0.5)
    close(found, [0.8, 0.8, 0.4, 0.4, 0.1, 0.1])


def test_linear_lr_rises_in_a_straight_line():
    found = rates(lr_scheduler.LinearLR, 7, start_factor=0.5, total_iters=4)
    close(found, [0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8])


@given(T_max=st.integers(1, 20), eta_min=st.floats(0, 0.5))
def test_cosine_annealing_is_the_cosine_in_its_first_half(T_max, eta_min):
    found = rates(lr_scheduler.CosineAnnealingLR, T_max, T_max=T_max, eta_min=eta_min)
    swing = (0.8 - eta_min) / 2
    expected = [
        eta_min + swing * (1 + math.cos(math.pi * t / T_max)) for t in range(T_max)
    ]
    close(found, expected)


@given(
    total=st.integers(4, 60),
    pct_start=st.floats(0.3, 0.49),
    strategy=st.sampled_from(["cos", "linear"]),
    three_phase=st.booleans(),
)
def test_one_cycle_equals_pytorchs_for_drawn_lengths(
    total, pct_start, strategy, three_phase
):
    options = {
        "max_lr": 0.5,
        "total_steps": total,
        "pct_start": pct_start,
        "anneal_strategy": strategy,
        "three_phase": three_phase,
    }
    found = go(*make(tinygrad_cnn, "OneCycleLR", options), last=total)
    assert found == go(*make(torch, "OneCycleLR", options), last=total)


def test_one_cycle_has_its_three_values():
    found = rates(
        lr_scheduler.OneCycleLR, 101, max_lr=1.0, total_steps=101, cycle_momentum=False
    )
    close([found[0], max(found), found[-1]], [1 / 25, max(found), 1 / 25 / 1e4])
    assert 0.999 < max(found) <= 1.0


def test_a_rising_phase_of_one_step_starts_at_the_top():
    found = rates(
        lr_scheduler.OneCycleLR,
        10,
        max_lr=1.0,
        total_steps=10,
        pct_start=0.1,
        cycle_momentum=False,
    )
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)


def test_a_plateau_may_be_watched_through_a_tensor():
    optimizer = optim.SGD([tensor(1.0)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    for loss in (1.0, 2.0):
        scheduler.step(tensor(loss))
    assert optimizer.param_groups[0]["lr"] == 0.1


# --------------------------------------------------------------------------- errors


def too_far(library):
    optimizer, scheduler = make(
        library, "OneCycleLR", {"max_lr": 1.0, "total_steps": 3}
    )
    for _ in range(4):
        optimizer.step()
        scheduler.step()


def without_momentum(library):
    optimizer = library.optim.Adagrad([library.ones(1)])
    library.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 10)


def of(name, **options):
    return lambda library: make(library, name, options)


REFUSED = {
    "no optimizer": lambda lib: lib.optim.lr_scheduler.StepLR(lib.ones(1), 5),
    "no optimizer, plateau": lambda lib: lib.optim.lr_scheduler.ReduceLROnPlateau(3),
    "no optimizer, one cycle": lambda lib: lib.optim.lr_scheduler.OneCycleLR(3, 1.0, 9),
    "start factor": of("LinearLR", start_factor=0),
    "end factor": of("LinearLR", end_factor=1.5),
    "factor": of("ReduceLROnPlateau", factor=1.0),
    "mode": of("ReduceLROnPlateau", mode="least"),
    "threshold mode": of("ReduceLROnPlateau", threshold_mode="log"),
    "no length": of("OneCycleLR", max_lr=1.0, epochs=3),
    "total steps": of("OneCycleLR", max_lr=1.0, total_steps=-2),
    "epochs": of("OneCycleLR", max_lr=1.0, epochs=0, steps_per_epoch=3),
    "steps per epoch": of("OneCycleLR", max_lr=1.0, epochs=2, steps_per_epoch=1.5),
    "rising part": of("OneCycleLR", max_lr=1.0, total_steps=9, pct_start=1.5),
    "strategy": of("OneCycleLR", max_lr=1.0, total_steps=9, anneal_strategy="sine"),
    "rates per group": of("OneCycleLR", max_lr=[1.0], total_steps=9),
    "too many steps": too_far,
    "no momentum to cycle": without_momentum,
}


@for_each("call", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_refuses_is_refused_in_its_words(call):
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(theirs.type) as ours:
        call(tinygrad_cnn)
    assert isinstance(ours.value, tinygrad_cnn.errors.TinygradError)
    assert str(theirs.value).rstrip(".") in str(ours.value)


@for_each(
    ("name", "options", "message"),
    [
        ("StepLR", {"step_size": 0}, "step_size must be positive, got 0"),
        ("CosineAnnealingLR", {"T_max": -1}, "T_max must be positive, got -1"),
        (
            "LambdaLR",
            {"lr_lambda": [half_life]},
            "lr_lambda has 1 values, param_groups",
        ),
        ("ReduceLROnPlateau", {"min_lr": [0.1]}, "min_lr has 1 values, param_groups"),
        ("StepLR", {"step_size": 3, "last_epoch": 4}, "'initial_lr' is not specified"),
    ],
)
def test_other_mistakes_are_refused_too(name, options, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make(tinygrad_cnn, name, options)


def test_the_deprecated_epoch_is_refused():
    _, scheduler = make(tinygrad_cnn, "StepLR", {"step_size": 3})
    _, plateau = make(tinygrad_cnn, "ReduceLROnPlateau", {})
    with pytest.raises(ArgumentError, match="counts the epochs itself"):
        scheduler.step(3)
    with pytest.raises(ArgumentError, match="counts the epochs itself"):
        plateau.step(0.5, epoch=3)


def test_a_schedule_that_goes_on_before_the_optimizer_warns_once():
    _, scheduler = make(tinygrad_cnn, "StepLR", {"step_size": 3})
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    scheduler.step()


def test_an_optimizer_with_its_own_step_does_not_warn():
    class Nothing(optim.Optimizer):
        def step(self, closure=None):
            pass

    optimizer = Nothing([tensor(1.0)], {"lr": 1.0})
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.5]
