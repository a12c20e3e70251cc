"""The mistakes of the documents: the checker finds each, and each correction right."""

import importlib.util
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.cli.main import main

ERRATA = Path(__file__).parent.parent / "docs" / "errata"
spec = importlib.util.spec_from_file_location("generate", ERRATA / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)

CASES = generate.cases()
GRADIENTS = [name for name, case in CASES.items() if hasattr(case, "EXPECTED")]


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_stated_gradient_is_found_wrong_as_expected(name):
    report = generate.checked(CASES[name], "stated")
    assert {t.name: generate.found(t) for t in report.tensors if not t} == (
        CASES[name].EXPECTED
    )


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_corrected_gradient_is_found_right(name):
    report = generate.checked(CASES[name], "right")
    assert report, str(report)
    assert not any(tensor.kinks for tensor in report.tensors)


@pytest.mark.parametrize("name", generate.PRINTED)
def test_the_command_line_finds_both_versions(name, capsys):
    path = str(ERRATA / "cases" / f"{name}.py")
    assert main(["check", "--pair", path]) == 1
    text = capsys.readouterr().out
    assert f"{name}.py:stated" in text
    assert f"{name}.py:right" in text
    assert main(["check", "--pair", f"{path}:right"]) == 0


def test_every_file_is_a_case():
    files = {path.stem for path in (ERRATA / "cases").glob("*.py")}
    assert files == set(CASES)
    assert all(hasattr(c, "EXPECTED") or hasattr(c, "shows") for c in CASES.values())


NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?"


def test_the_page_is_what_the_cases_print():
    """The same words; the estimated errors of a difference may be those of any machine."""
    committed = (ERRATA / "README.md").read_text(encoding="utf-8")
    printed = generate.page()
    assert re.sub(NUMBER, "0", committed) == re.sub(NUMBER, "0", printed)
    numbers = [[float(x) for x in re.findall(NUMBER, t)] for t in (committed, printed)]
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-4)


# ----------------------------------------------- mistakes that are not ones of a gradient


def test_day2_bias():
    case = CASES["day2_bias"]
    image, kernel = np.arange(9.0).reshape(3, 3), np.eye(3)
    assert case.stated(image, kernel, 5.0) == [[0 + 4 + 8]]
    assert case.right(image, kernel, 5.0) == [[0 + 4 + 8 + 5]]


def test_eq06_hadamard():
    case = CASES["numpy_cnn_eq06_hadamard"]
    a, b = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])
    np.testing.assert_array_equal(case.right(a, b), [[5, 12], [21, 32]])
    assert case.stated(a, b) == np.vdot(a, b)


@pytest.mark.parametrize(("size", "kernel"), [(28, 5), (5, 3), (4, 1)])
def test_eq07_output_size(size, kernel):
    case = CASES["numpy_cnn_eq07_output_size"]
    places = len(np.convolve(np.ones(size), np.ones(kernel), "valid"))
    assert case.right(size, kernel) == places
    assert case.stated(size, kernel) != places


def test_eq09_sum_limits():
    case = CASES["numpy_cnn_eq09_sum_limits"]
    z, w = np.random.default_rng(0).normal(size=(2, 3, 3))
    z = np.pad(z, 1)
    for i, j in np.ndindex(3, 3):
        assert case.right(z, w)[i, j] == pytest.approx(
            np.vdot(z[i : i + 3, j : j + 3], w)
        )
    with pytest.raises(IndexError):
        case.stated(z, w)


def test_log_softmax_without_the_maximum_sums_to_its_exponential():
    case = CASES["lenet_logsoftmax"]
    z = np.random.default_rng(0).normal(size=(3, 4))
    assert np.exp(case.forward_right(z)).sum(1) == pytest.approx(1)
    assert np.exp(case.forward_stated(z)).sum(1) == pytest.approx(np.exp(z.max(1)))


def test_adam_corrects_once():
    case = CASES["lenet_adam"]
    gradients = np.random.default_rng(0).normal(size=5)
    torch = pytest.importorskip("torch")
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weight], 0.01, (case.RHO_F, case.RHO), eps=0)
    path = [0.0]
    for g in gradients:
        weight.grad = torch.tensor([g])
        adam.step()
        path.append(-weight.item())
    assert case.right(gradients, 0.01) == pytest.approx(np.diff(path))
    assert (np.abs(case.stated(gradients, 0.01)) < 0.4 * np.abs(np.diff(path))).all()


def test_only_a_seeded_generator_repeats_itself():
    case = CASES["lenet_seed"]
    assert (case.right() == case.right()).all()
    assert (case.stated() != case.stated()).any()


def test_only_running_statistics_leave_an_image_alone():
    case = CASES["lenet_batch_statistics"]
    images = np.random.default_rng(0).normal(size=(6, 3))
    batches = [
        images[[0, *others]] for others in itertools.combinations(range(1, 6), 2)
    ]
    of_batch = [case.stated(batch)[0] for batch in batches]
    running = [case.right(batch, 0.5, 2.0)[0] for batch in batches]
    assert np.ptp(of_batch, axis=0).min() > 0.1
    assert np.ptp(running, axis=0).max() == 0
    assert running[0] == pytest.approx((images[0] - 0.5) / 2)


def test_32_images_are_learnt_by_heart():
    case = CASES["lenet_single_batch"]
    (by_heart, unseen), (_, with_all) = map(case.accuracy, (case.stated, case.right))
    assert by_heart == 100
    assert unseen < 80 < 90 < with_all
