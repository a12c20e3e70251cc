"""Which kernels serve, on how many threads, and how one says so."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import kernels
from tinygrad_cnn.errors import ArgumentError, DTypeError
from tinygrad_cnn.kernels import reference, threads


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Each test leaves the tables and the threads as they were."""
    table, pool = kernels.serving(), dict(vars(threads.Pool))
    yield
    threads.Pool.asked, threads.Pool.compiled = pool["asked"], pool["compiled"]
    kernels.use(table)


def run(code, **environment):
    """What a program prints in a process of its own."""
    path = os.pathsep.join(sys.path)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


TABLE = """
from tinygrad_cnn import kernels
print(kernels.serving())
"""


def test_both_tables_have_the_same_kernels():
    fast = pytest.importorskip("tinygrad_cnn.kernels.fast")
    for name in reference.KERNELS:
        assert callable(getattr(reference, name))
        assert callable(getattr(fast, name))


def test_without_numba_the_reference_serves():
    hidden = "import sys; sys.modules['numba'] = None\n"
    hidden += "import importlib.util as u; find = u.find_spec\n"
    hidden += "u.find_spec = lambda n, *a: None if n == 'numba' else find(n, *a)\n"
    assert run(hidden + TABLE) == "reference"


def test_the_environment_chooses_the_table():
    assert run(TABLE, TINYGRAD_CNN_KERNELS="reference") == "reference"
    pytest.importorskip("numba")
    assert run(TABLE, TINYGRAD_CNN_KERNELS="fast") == "fast"


def test_an_unknown_table_is_refused():
    with pytest.raises(ArgumentError, match="there are no kernels 'slow'"):
        kernels.use("slow")


def test_use_changes_the_kernels_of_operations_at_once():
    pytest.importorskip("numba")
    kernels.use("reference")
    assert kernels.active.relu is reference.relu
    kernels.use("fast")
    assert kernels.active.relu is not reference.relu


def test_the_number_of_threads_is_what_was_set():
    tinygrad_cnn.set_num_threads(1)
    assert tinygrad_cnn.get_num_threads() == 1
    tinygrad_cnn.set_num_threads(3)
    assert tinygrad_cnn.get_num_threads() == 3


@pytest.mark.parametrize("number", [0, -1])
def test_fewer_than_one_thread_is_refused(number):
    with pytest.raises(ArgumentError, match="at least one thread"):
        tinygrad_cnn.set_num_threads(number)


@pytest.mark.parametrize("number", [1.5, "2", True, None])
def test_a_number_of_threads_is_an_int(number):
    with pytest.raises(DTypeError, match="must be an int"):
        tinygrad_cnn.set_num_threads(number)


def test_the_environment_gives_the_number_of_threads():
    code = "import tinygrad_cnn; print(tinygrad_cnn.get_num_threads())"
    assert run(code, TINYGRAD_CNN_THREADS="5") == "5"
    with pytest.raises(AssertionError, match="TINYGRAD_CNN_THREADS='many'"):
        run(code, TINYGRAD_CNN_THREADS="many")


BLAS = """
import numpy, threadpoolctl
from tinygrad_cnn import kernels
kernels.active.relu
pools = threadpoolctl.threadpool_info()
print({p["num_threads"] for p in pools if p["user_api"] == "blas"})
"""


@pytest.mark.parametrize("table, expected", [("fast", "{1}"), ("reference", "{2}")])
def test_only_one_pool_has_several_threads(table, expected):
    pytest.importorskip("numba")
    pytest.importorskip("threadpoolctl")
    if threads.cores() < 2:
        pytest.skip("BLAS has no second core")
    environment = {"TINYGRAD_CNN_KERNELS": table, "TINYGRAD_CNN_THREADS": "2"}
    assert run(BLAS, **environment, OPENBLAS_NUM_THREADS="2") == expected


FORK = """
import os, numpy as np, tinygrad_cnn as t
from tinygrad_cnn import kernels
x, w = t.rand(64, 3, 32, 32), t.rand(16, 3, 5, 5)
y = t.conv2d(x, w).numpy()
child = os.fork()
if child == 0:
    for ask in (int, lambda: t.set_num_threads(2), lambda: kernels.use("fast")):
        ask()
        if (t.conv2d(x, w).numpy() != y).any():
            os._exit(1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_child_process_computes_the_same_on_one_thread():
    """Whatever it asks for: it has none of its parent's threads, and waits for none."""
    assert run(FORK, TINYGRAD_CNN_THREADS="2") == "0"


def test_two_threads_of_python_may_compute_at_once():
    from concurrent.futures import ThreadPoolExecutor

    tinygrad_cnn.set_num_threads(2)
    x, w = tinygrad_cnn.rand(64, 3, 32, 32), tinygrad_cnn.rand(16, 3, 5, 5)
    expected = tinygrad_cnn.conv2d(x, w).numpy()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tinygrad_cnn.conv2d(x, w).numpy(), range(40)))
    assert all(np.array_equal(y, expected) for y in found)
