"""What is said while kernels are compiled."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

compiling = pytest.importorskip("tinygrad_cnn.kernels.fast.compiling")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def event_of(name, module):
    function = SimpleNamespace(__name__=name, __module__=module)
    return SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)})


OURS = "tinygrad_cnn.kernels.fast.tiles"


def compile_two(told):
    """A kernel that calls another, and a function of somebody else."""
    told.on_start(event_of("outer", OURS))
    told.on_start(event_of("inner", OURS))
    told.on_start(event_of("theirs", "numba.np"))
    told.on_end(None)
    told.on_end(None)
    told.on_end(None)


def screen(text):
    """What a terminal shows in the end of text without line breaks."""
    cells, place = {}, 0
    for character in text:
        if character == "\r":
            place = 0
        else:
            cells[place] = character
            place += 1
    return "".join([cells.get(i, " ") for i in range(max(cells, default=-1) + 1)])


@pytest.fixture
def quiet(monkeypatch):
    """Without the log, which the command line listens to."""
    monkeypatch.setattr(compiling, "log", logging.getLogger("quiet"))


def test_a_terminal_shows_one_line_that_goes_away(monkeypatch, quiet):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "__stderr__", terminal)
    compile_two(compiling.Told())
    text = terminal.getvalue()
    assert "compiling kernel 1 after 0.0 s: outer" in text
    assert "compiling kernel 2 after 0.0 s: inner" in text
    assert "theirs" not in text
    assert "\n" not in text
    assert screen(text).strip() == ""


def test_a_terminal_that_others_draw_on_is_left_to_them(monkeypatch, quiet):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    compile_two(compiling.Told())
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stderr", [io.StringIO(), None])
def test_elsewhere_there_is_only_the_log(monkeypatch, caplog, stderr):
    monkeypatch.setattr(compiling, "log", logging.getLogger("heard"))
    monkeypatch.setattr(sys, "stderr", stderr)
    with caplog.at_level(logging.INFO, compiling.log.name):
        compile_two(compiling.Told())
    assert [r.getMessage() for r in caplog.records] == [
        "compiling outer",
        "compiling inner",
    ]
    assert not (stderr and stderr.getvalue())
