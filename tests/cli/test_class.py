"""`check --pair DIR`: a class, in which some files do what no file should."""

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from xml.etree import ElementTree

import pytest
from students import SCALE, TEACHER

from tinygrad_cnn.cli.main import main

RIGHT = f"""
import os, signal, sys, time
import numpy as np
{SCALE}
class Square:
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, g):
        return 2 * self.x * g
"""
WRONG = RIGHT.replace("return g * self.w", "return -g * self.w")
CHILDREN = """
lock = open("held", "w")
told, tell = os.pipe()
if os.fork() == 0:
    import fcntl
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("locked", flush=True)
    os.write(tell, b".")
    time.sleep(1000)
os.read(told, 1)
"""

CLASS = {
    "right": (RIGHT, "right"),
    "prints": (f"{RIGHT}print('right: all is well' * 100_000)", "right"),
    "forks": (f"{RIGHT}os.fork()", "right"),
    "parent": (f"{RIGHT}{CHILDREN}", "right"),
    "sign": (WRONG, "wrong"),
    "cheat": (
        "import tinygrad_cnn.verify.report as r, tinygrad_cnn.verify.check as c\n"
        "r.Report.__bool__ = r.TensorReport.__bool__ = lambda self: True\n"
        f"c.Checker._is_close = lambda *args: True\n{WRONG}",
        "wrong",
    ),
    "some": (RIGHT.replace("class Square", "class Cube"), "could not read"),
    "leaves": (f"{RIGHT}os._exit(0)", "crashed"),
    "leaves_later": (
        RIGHT.replace("return 2 * self.x * g", "os._exit(0)"),
        "crashed",
    ),
    "exits": (f"{RIGHT}sys.exit(0)", "crashed"),
    "escapes": (
        f"{RIGHT}if os.fork(): os._exit(0)\nos.setsid()\ntime.sleep(60)",
        "crashed",
    ),
    "stops": (f"{RIGHT}raise KeyboardInterrupt", "crashed"),
    "silent": (
        f"{RIGHT}class E(BaseException):\n"
        "    def __str__(self): raise self\n"
        "Square.backward = lambda self, g: exec('raise E', globals())",
        "crashed",
    ),
    "control": (
        f"{RIGHT}raise ValueError('=1 \\x1b[2J\\x00 \\ud800 ]]><b>')",
        "crashed",
    ),
    "large": (f"{RIGHT}np.ones((5, 2**27))", "crashed"),
    "asks": (f"{RIGHT}input('your name')", "crashed"),
    "lacks": (f"{RIGHT}np.load('mnist.npy')", "crashed"),
    "garbles": (
        f"{RIGHT}for fd in range(3, 20):\n"
        "    try: os.write(fd, b'right' * 100)\n"
        "    except OSError: pass",
        "crashed",
    ),
}
"""What each file is, and what must be said of it."""

HANGING = {
    "at_import": f"{RIGHT}while True: pass",
    "in_backward": RIGHT.replace("return 2 * self.x * g", "time.sleep(1000)"),
    "deaf": f"{RIGHT}for s in range(1, 32):\n"
    "    try: signal.signal(s, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\n"
    "time.sleep(1000)",
    "writes": f"{RIGHT}while True: print('x' * 2**20)",
}


class Outcome:
    def __init__(self, folder, line):
        self.folder = folder
        with (
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            self.status = main(line)
        self.out, self.err = out.getvalue(), err.getvalue()


def check(folder, files, *more):
    (folder / "net.py").unlink(missing_ok=True)  # which every test here begins with
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "teacher.py").write_text(TEACHER)
    line = ["check", "--pair", str(folder), "--inputs", str(folder / "teacher.py")]
    return Outcome(folder, [*line, *more])


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    (folder / ".hidden.py").write_text("")
    (folder / "notes.txt").write_text("")
    outputs = [f"--{kind}={folder / kind}" for kind in ("junit", "csv", "html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.chdir(folder)
        return check(folder, {k: v[0] for k, v in CLASS.items()}, *outputs)


def test_each_file_has_its_line_and_the_verdict_is_out_of_its_reach(graded):
    assert graded.status == 1
    lines = graded.out.splitlines()
    assert lines[0].split() == ["file", "outcome", "right", "what"]
    assert max(map(len, lines)) <= 80
    told = dict(line.split(".py", 1) for line in lines[1:-2])
    assert list(told) == sorted(CLASS)
    for name, (_, outcome) in CLASS.items():
        assert told[name].lstrip().startswith(outcome), name
    assert told["sign"].split() == ["wrong", "2/3", "Scale.x:", "sign"]
    assert lines[-1] == "18 files: 4 right, 2 wrong, 11 crashed, 1 could not read"


def test_what_a_file_prints_is_not_in_the_report(graded):
    assert "all is well" not in graded.out + graded.err
    assert graded.err.splitlines()[-1].startswith(
        f"{len(CLASS)} of {len(CLASS)} files: "
    )


def test_junit_has_a_suite_for_each_pair_of_each_file(graded):
    suites = ElementTree.parse(graded.folder / "junit").getroot()
    files = {suite.get("name").partition(":")[0] for suite in suites}
    assert files == {f"{name}.py" for name in CLASS}
    bad = {s.get("name").partition(".")[0] for s in suites if s.get("failures") != "0"}
    assert bad == {name for name, (_, expected) in CLASS.items() if expected != "right"}


def test_csv_has_a_row_for_each_file(graded):
    text = (graded.folder / "csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {r["file"]: r["outcome"] for r in rows} == {
        f"{name}.py": expected for name, (_, expected) in CLASS.items()
    }
    what = {r["file"]: r["what"] for r in rows}
    assert (
        what["leaves.py"] == "the file ended the process (status 0) while it was read"
    )
    assert what["some.py"].startswith("Square: nothing to check; expected functions")
    assert "\x1b" not in text and "\x00" not in text


def test_the_page_has_a_section_for_each_file_and_loads_nothing(graded):
    page = (graded.folder / "html").read_text(encoding="utf-8")
    for k in range(len(CLASS)):
        assert f'href="#file-{k}"' in page
        assert f'<section id="file-{k}">' in page
    assert page.count("<figure>") == 2 * 3  # of the two that are wrong in one tensor
    assert "<b>" not in page and "]]&gt;&lt;b&gt;" in page
    assert "all is well" in page
    for word in ("<script", "http:", "https:", "<link", "\x1b"):
        assert word not in page
    body = page[page.index("<body>") : page.index("</html>")]
    ElementTree.fromstring(body)  # what files say has not broken it


def test_what_a_file_has_started_ends_with_it(graded):
    fcntl = pytest.importorskip("fcntl")
    page = (graded.folder / "html").read_text(encoding="utf-8")
    assert "locked" in page
    with open(graded.folder / "held") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # waits for ever if the child is there


def test_files_without_an_end_are_ended(tmp_path):
    outcome = check(tmp_path, HANGING, "--timeout", "4", "--jobs", "4", "--json")
    assert outcome.status == 1
    found = json.loads(outcome.out)
    assert found["right"] is False
    assert [f["file"] for f in found["files"]] == sorted(f"{k}.py" for k in HANGING)
    for file in found["files"]:
        assert file["outcome"] == "timed out"
        assert file["what"].startswith("no end after 4 s, while it was ")


def test_one_file_may_hang_too(run, working_directory):
    (working_directory / "own.py").write_text(HANGING["at_import"])
    outcome = run("check --pair own.py --timeout 1 --junit out.xml")
    assert outcome.status == 1
    assert outcome.out.startswith("own.py: no end after 1 s, while ")
    assert ElementTree.parse("out.xml").find(".//failure").get("message") == "timed out"


def test_a_fault_of_the_teacher_is_told_before_any_file_is_read(tmp_path):
    (tmp_path / "own.py").write_text(RIGHT)
    (tmp_path / "t.py").write_text("inputs = 1 / 0")
    files = [str(tmp_path / "own.py")] * 2
    outcome = Outcome(
        tmp_path, ["check", "--pair", *files, "--inputs", str(tmp_path / "t.py")]
    )
    assert outcome.status == 1
    assert outcome.out == ""
    assert "t.py: ZeroDivisionError" in outcome.err


def test_no_files_and_missing_files_are_errors(run, working_directory):
    (working_directory / "empty").mkdir()
    outcome = run("check --pair empty")
    assert "error: there is no .py or .ipynb file in empty" in outcome.err
    assert run("check --pair net.py none.py").err == "error: there is no file none.py\n"


def test_files_of_one_name_are_told_apart_by_their_folders(run, working_directory):
    for name in ("anna", "ben"):
        (working_directory / name).mkdir()
        (working_directory / name / "own.py").write_text("")
    outcome = run("check --pair anna/own.py ben/own.py")
    names = [line.split()[0] for line in outcome.out.splitlines()[1:3]]
    assert names == ["anna/own.py", "ben/own.py"]
