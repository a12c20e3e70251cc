"""Files written for PyTorch run with only their import lines changed, and agree with it.

Each file of styles/ has `build()`, which returns a model (or None), and `run(model, images,
labels)`, which trains and returns a list of figures. Both run under PyTorch and under
tinygrad_cnn, from the same initial weights on the same data.
"""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

STYLES = Path(__file__).parent / "styles"

IMAGES = {
    "alexnet": (3, 32, 32),
    "autoencoder": (1, 16, 16),
    "batch_norm_dropout": (1, 16, 16),
    "binary_mlp": (1, 8, 8),
    "branches": (1, 8, 8),
    "custom_dataset": (1, 8, 8),
    "gan": (1, 8, 8),
    "init_clip_onecycle": (3, 16, 16),
    "lenet_tutorial": (3, 32, 32),
    "manual_sgd": (1, 6, 6),
    "mnist_script": (1, 16, 16),
    "module_list": (1, 16, 16),
    "parameter_groups": (3, 9, 9),
    "plateau_checkpoint": (1, 8, 8),
    "residual": (3, 16, 16),
    "sequential": (3, 16, 16),
    "vgg": (3, 16, 16),
}
"""The size of the images that each file is written for."""

DRAWS = {"custom_dataset"}
"""Files that shuffle or drop out on their own, so that the two cannot agree in figures."""

TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
"""How far figures and parameters may differ, both relatively and absolutely."""


def with_our_imports(source):
    """The source with `torch` replaced by `tinygrad_cnn`, in its import lines only."""
    source = re.sub(
        r"^import torch$", "import tinygrad_cnn as torch", source, flags=re.M
    )
    return re.sub(r"^(import|from) torch\b", r"\1 tinygrad_cnn", source, flags=re.M)


def load(source, path):
    names = {"__name__": path.stem}
    exec(compile(source, str(path), "exec"), names)
    return SimpleNamespace(**names)


def draw(shape, dtype, count=48):
    """Ten patterns in noise, and which of them each image shows."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(count) % 10
    images = rng.normal(size=(10, *shape))[labels] + rng.normal(size=(count, *shape))
    return 0.5 * images.astype(dtype), labels


def weights(model):
    state = {} if model is None else model.state_dict()
    return {name: value.numpy().copy() for name, value in state.items()}


def prepare(model, state, dtype):
    """The model in this dtype with these weights, and without dropout."""
    if model is None:
        return None
    model = model.double() if dtype == "float64" else model
    for module in model.modules():
        if type(module).__name__.startswith("Dropout"):
            module.p = 0.0
    kind = type(next(iter(model.state_dict().values())))
    state = {
        k: torch.tensor(v) if kind is torch.Tensor else v for k, v in state.items()
    }
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("name", IMAGES)
def test_only_import_lines_differ(name):
    theirs = (STYLES / f"{name}.py").read_text()
    ours = with_our_imports(theirs)
    pairs = zip(theirs.splitlines(), ours.splitlines(), strict=True)
    changed = [line for line, other in pairs if line != other]
    assert changed
    assert all(line.startswith(("import torch", "from torch")) for line in changed)
    assert not re.search(r"^(import|from) torch\b", ours, flags=re.M)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", IMAGES)
def test_a_file_written_for_pytorch_does_the_same_here(name, dtype):
    path = STYLES / f"{name}.py"
    source = path.read_text()
    theirs, ours = load(source, path), load(with_our_imports(source), path)
    torch.manual_seed(0)
    model, copy = theirs.build(), ours.build()
    start = weights(model)
    figures = []
    ends = []
    for program, network in ((theirs, model), (ours, copy)):
        network = prepare(network, start, dtype)
        figures.append(program.run(network, *draw(IMAGES[name], dtype)))
        ends.append(weights(network))
    if name in DRAWS:
        assert all(history[-1] < 0.5 * history[0] for history in figures)
        return
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(*reversed(figures), rtol=tolerance, atol=tolerance)
    assert [*ends[0]] == [*ends[1]]
    for key, expected in ends[0].items():
        assert ends[1][key].dtype == expected.dtype, key
        np.testing.assert_allclose(ends[1][key], expected, tolerance, tolerance, key)


def test_every_file_is_tested():
    assert sorted(IMAGES) == sorted(path.stem for path in STYLES.glob("*.py"))
