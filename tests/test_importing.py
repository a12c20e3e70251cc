"""Files written for PyTorch get this package, and nothing of that is left afterwards."""

import importlib
import subprocess
import sys
import textwrap
import threading
from types import ModuleType

import pytest

import tinygrad_cnn
from tinygrad_cnn import in_place_of_torch, nn, real_torch
from tinygrad_cnn.errors import UnavailableError
from tinygrad_cnn.importing import HOMES, OWN


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on the path with a package written for PyTorch."""
    files = {
        "net.py": """
            import torch
            from torch import nn
            import torch.nn.functional as F
            from their_package.layers import Layer

            class Net(Layer):
                def forward(self, x):
                    import torch.optim.lr_scheduler  # not before it runs
                    return F.relu(super().forward(x))
            """,
        "their_package/__init__.py": "from .layers import Layer",
        "their_package/layers.py": """
            import torch.nn as nn
            from torch.nn.modules.utils import _pair

            class Layer(nn.Linear):
                size = _pair(3)
                def forward(self, x):
                    from .late import scale
                    return scale(super().forward(x))
            """,
        "their_package/late.py": """
            import torch
            def scale(x):
                return torch.mul(x, 2)
            """,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def torch_modules():
    return {n: m for n, m in sys.modules.items() if n.split(".")[0] == "torch"}


def test_a_file_written_for_pytorch_gets_this_package_and_leaves_nothing(folder):
    before = torch_modules()
    with in_place_of_torch():
        from net import Net
    assert torch_modules() == before
    assert not {"net", "their_package", "their_package.layers"} & {*sys.modules}
    assert issubclass(Net, nn.Linear)
    assert Net.size == (3, 3)


def test_what_its_functions_import_later_is_this_package_too(folder):
    with in_place_of_torch():
        from net import Net
    model = Net(2, 2)
    x = tinygrad_cnn.ones(1, 2)
    by_hand = 2 * (x @ model.weight.T + model.bias)
    assert model(x).tolist() == by_hand.relu().tolist()
    assert not {"torch.optim.lr_scheduler", "their_package.late"} & {*sys.modules} - {
        *torch_modules()
    }


def test_an_error_in_the_block_leaves_nothing_either():
    before, finders, path = torch_modules(), [*sys.meta_path], [*sys.path]
    with pytest.raises(ZeroDivisionError), in_place_of_torch():
        import torch  # noqa: F401

        raise ZeroDivisionError
    assert (torch_modules(), sys.meta_path, sys.path) == (before, finders, path)


def test_a_block_may_be_entered_again_and_by_several_threads():
    theirs = pytest.importorskip("torch")
    block, wrong = in_place_of_torch(), []
    with block, block, in_place_of_torch():
        import torch as ours
    assert sys.modules["torch"] is theirs

    def enter():
        for _ in range(30):
            with in_place_of_torch():
                import torch
            if torch.nn is not nn:
                wrong.append(torch)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sys.modules["torch"] is theirs is not ours


def test_a_file_that_was_imported_with_pytorch_is_imported_anew(folder):
    theirs = pytest.importorskip("torch")
    import net

    with in_place_of_torch():
        import net as ours

    import net as after

    assert after is net is not ours
    assert issubclass(net.Net, theirs.nn.Linear)
    assert issubclass(ours.Net, nn.Linear)
    assert sys.modules["their_package.layers"].nn is theirs.nn
    for name in ("net", "their_package", "their_package.layers"):
        del sys.modules[name]


def test_what_is_imported_later_is_the_same_module_as_before(tmp_path, monkeypatch):
    text = "import torch\ntorch.flag = 1\ndef later():\n    import torch as t\n    return t"
    (tmp_path / "setter.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with in_place_of_torch():
        import setter
    assert setter.later() is setter.torch
    assert setter.later().flag == 1


def test_pytorch_itself_is_as_it_was_and_can_be_had_in_the_block():
    theirs = pytest.importorskip("torch")
    with in_place_of_torch():
        import torch as ours

        with real_torch():
            import torch as found
        import torch as again
    import torch as after

    assert found is theirs is after
    assert again is ours is not theirs
    assert ours.nn is nn
    assert ours.__version__.startswith("2.")


@pytest.mark.parametrize("name", HOMES)
def test_a_module_that_stands_elsewhere_has_its_name_of_pytorchs(name):
    found = importlib.import_module(f"{OWN}.{name}")
    home = importlib.import_module(f"{OWN}.{HOMES[name]}")
    assert home.__spec__.name == f"{OWN}.{HOMES[name]}"
    for part in dir(home):
        value = getattr(home, part)
        if not part.startswith("__") and not isinstance(value, ModuleType):
            assert getattr(found, part) is value
    if name not in ("creation", "data.models", "utils.tensorboard"):
        torch = pytest.importorskip("torch")
        importlib.import_module(f"{torch.__name__}.{name}")


def test_a_module_that_is_not_here_is_named():
    with in_place_of_torch(), pytest.raises(ModuleNotFoundError, match=r"torch\.onnx"):
        import torch.onnx  # noqa: F401


def test_the_package_alone_imports_nothing_under_pytorchs_name():
    code = (
        "import sys, tinygrad_cnn.nn, tinygrad_cnn.cuda; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


# ------------------------------------------------------------ what there is none of


def test_a_gpu_is_asked_for_and_there_is_none():
    with in_place_of_torch():
        import torch
        import torch.backends.cudnn as cudnn

        assert not torch.cuda.is_available()
        assert torch.accelerator.current_accelerator() is None
        assert not torch.backends.mps.is_available()
        torch.cuda.manual_seed_all(1)
        torch.cuda.empty_cache()
        cudnn.benchmark = True
        with pytest.raises(UnavailableError, match="PyTorch runs the same file"):
            torch.cuda.synchronize()
        with pytest.raises(UnavailableError, match="one process"):
            torch.distributed.init_process_group("gloo")


def test_what_compiles_or_wraps_changes_nothing():
    with in_place_of_torch():
        import torch
        from torch.utils.checkpoint import checkpoint

        def double(x):
            return 2 * x

        for wrap in (torch.compile, torch.jit.script, torch.jit.ignore, torch.fx.wrap):
            assert wrap(double) is double
        assert torch.compile(mode="max-autotune")(double) is double
        assert checkpoint(double, 3, use_reentrant=False) == 6
        assert not torch.jit.is_scripting()
        model = nn.parallel.DataParallel(nn.Linear(2, 1))
        assert list(model.state_dict()) == ["module.weight", "module.bias"]
        assert model(torch.ones(1, 2)).shape == (1, 1)


def test_mixed_precision_is_off_where_there_is_no_gpu_and_refused_on_a_cpu():
    with in_place_of_torch():
        import torch

        with pytest.warns(UserWarning, match="no such device"), torch.autocast("cuda"):
            assert (torch.ones(2) * 1.5).dtype == torch.float32
        with pytest.raises(UnavailableError, match="bfloat16"):
            torch.autocast("cpu", dtype=None)
        model, scaler = nn.Linear(1, 1), torch.amp.GradScaler("cuda")
        optimizer = torch.optim.SGD(model.parameters(), 0.5)
        before = model.bias.item()
        scaler.scale(model(torch.ones(1, 1)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert model.bias.item() == pytest.approx(before - 0.5)
