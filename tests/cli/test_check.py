"""`check`: the gradients of models and of other people's NumPy files."""

import io
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from students import SCALE, TEACHER

from tinygrad_cnn.cli.main import main
from tinygrad_cnn.verify.handwritten.file import subjects_of
from tinygrad_cnn.verify.handwritten.foreign import failed
from tinygrad_cnn.verify.verifier import verify_code

ROOT = Path(__file__).parents[2]
PAIRS = ROOT / "tests/verify/pairs"
SMALL = "--data digits --param layers.1.bias layers.4.weight"


# --- models ---------------------------------------------------------------------------


def test_a_right_model_is_status_0_and_its_table_is_printed(run):
    outcome = run(f"check net.py {SMALL}")
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].startswith(
        "Net (checked on a float64 copy of float32): every gradient"
    )
    assert [line.split()[0] for line in lines[2:]] == [
        "tensor",
        "layers.1.bias",
        "layers.4.weight",
    ]


WRONG = """
import tinygrad_cnn.nn as nn
from tinygrad_cnn.autograd import Function

class Double(Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return g

class Net(nn.Module):
    def __init__(self, in_channels, image_size, num_classes):
        super().__init__()
        self.flat = nn.Flatten()
        self.dense = nn.Linear(in_channels * image_size**2, num_classes)

    def forward(self, x):
        return Double.apply(self.dense(self.flat(x)))
"""


def test_a_wrong_model_is_status_1_and_the_operation_is_named(run, working_directory):
    (working_directory / "wrong.py").write_text(WRONG)
    outcome = run("check wrong.py --data digits --param dense.bias")
    assert outcome.status == 1
    assert outcome.out.startswith(
        "Net (checked on a float64 copy of float32): dense.bias"
    )
    assert "The first wrong operation is Double" in outcome.out


def test_json_is_one_object_on_stdout(run):
    (record,) = run(f"check net.py {SMALL} --json").records
    assert record["right"] is True
    assert [t["name"] for t in record["tensors"]] == [
        "layers.1.bias",
        "layers.4.weight",
    ]


def test_junit_has_a_case_for_each_tensor(run, working_directory):
    outcome = run(f"check net.py {SMALL} --junit out.xml")
    assert outcome.status == 0
    suites = ElementTree.parse(working_directory / "out.xml").getroot()
    assert suites.tag == "testsuites"
    (suite,) = suites
    assert suite.get("failures") == "0"
    assert [case.get("name") for case in suite] == [
        "gradient of layers.1.bias",
        "gradient of layers.4.weight",
    ]


def test_the_options_reach_the_check(run):
    line = "check net.py --data digits --param layers.1.weight --json"
    usual = run(line).records[0]["tensors"][0]
    assert usual["checked"] < usual["size"] == 28 * 28 * 16
    smaller = run(f"{line} --set hidden=1 --full all --step 1e-4 --seed 3").records[0]
    assert smaller["seed"] == 3
    (tensor,) = smaller["tensors"]
    assert tensor["checked"] == tensor["size"] == 28 * 28
    assert tensor["worst"]["step"] >= 1e-4 / 4096
    more = run(f"check net.py {SMALL} --order 2 --json").records[0]["tensors"]
    assert "layers.4.weight (second order)" in [t["name"] for t in more]


def test_a_checkpoint_gives_the_values(run, train):
    train()
    line = "check net.py --data digits --param layers.4.bias --json"
    before, after = run(line), run(f"{line} --checkpoint runs/net.ckpt")
    claims = [o.records[0]["tensors"][0]["worst"]["claimed"] for o in (before, after)]
    assert after.status == 0
    assert claims[0] != claims[1]


def test_a_name_that_is_none_is_an_error_in_one_line(run):
    outcome = run("check net.py --data digits --param conv.weight")
    assert outcome.status == 1
    assert outcome.err.startswith(
        "error: there is no conv.weight to check; there are x, "
    )
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    "model",
    [
        "lenet5.py --param conv1.bias dense3.bias",
        "lenet5.py --set batch_norm=true --param norm1.weight norm4.bias conv1.bias",
        "mlp.py --param layers.0.bias layers.2.bias",
        "mnist_net.py --param conv.weight",
        "numpy_cnn.py --param conv1.bias dense2.bias",
        "patches_cnn.py --param conv.bias",
    ],
)
def test_the_models_of_this_project_are_right(run, model):
    outcome = run(f"check {ROOT}/models/{model} --data digits")
    assert outcome.status == 0, outcome.out + outcome.err


@pytest.mark.parametrize(
    "line",
    [
        "check",
        "check net.py --pair conv.py",
        "check net.py --self-test",
        "check net.py --inputs teacher.py",
        "check --pair conv.py --data digits",
        "check --pair conv.py --order 2",
        "check --pair conv.py --timeout 0",
        "check --pair conv.py --html missing/out.html",
        "check net.py --csv out.csv",
        "check net.py --timeout 3",
        "check --self-test --junit out.xml",
        "check net.py --json --junit out.xml",
        "check net.py --order 3",
        "check net.py --full some",
    ],
)
def test_wrong_usage_is_status_2(run, line):
    outcome = run(line)
    assert outcome.status == 2
    assert outcome.err
    assert outcome.out == ""


def test_help_tells_the_conventions_of_a_pair(run):
    text = run("check --help").out
    for word in (
        "forward_conv",
        "learning_rate",
        "inputs_NAME",
        "arguments_NAME",
        "dW",
    ):
        assert word in text


# --- layers in the style of the documents, right and wrong ------------------------------

MISTAKES = {
    "regions_wrong.py:LastRegion": ("filters", "assigned"),
    "regions_wrong.py:NotRotated": ("image", "not rotated"),
    "regions_wrong.py:LastFilter": ("image", None),
    "regions_wrong.py:NoFilterGradient": ("filters", "never computed"),
    "regions_wrong.py:Assigned": ("maps", "assigned"),
    "regions_wrong.py:Spread": ("maps", "mask missing"),
    "regions_wrong.py:NoMask": ("image filters", None),
    "patches_wrong.py:NoBias": ("biases", "never computed"),
    "patches_wrong.py:BiasOfOne": ("biases", "assigned"),
    "patches_wrong.py:UpdatedFirst": ("image", None),
    "patches_wrong.py:Ascent": ("kernels", "sign"),
    "patches_wrong.py:Averaged": ("kernels", "factor"),
    "patches_wrong.py:Turned": ("kernels", "rotated"),
    "patches_wrong.py:OffByOne": ("image", "shifted"),
    "patches_wrong.py:Mean": ("maps", None),
}
"""Which gradients are wrong, and the kind of the diagnosis where it must be found."""


def reports_on(spec):
    """The report on each pair of a file that is run in this process."""
    return [
        verify_code(found.subject)
        if found.subject
        else failed(found.title, found.problem)
        for found in subjects_of(str(spec), None, 0)
    ]


@pytest.mark.parametrize("name", ["regions.py", "patches.py"])
def test_right_layers_are_right(name):
    reports = reports_on(PAIRS / name)
    assert len(reports) >= 2
    assert all(reports)


@pytest.mark.parametrize("name", MISTAKES)
def test_wrong_layers_are_wrong_exactly_where_they_are(name):
    (report,) = reports_on(PAIRS / name)
    tensors, kind = MISTAKES[name]
    bad = [t for t in report.tensors if not t]
    assert [t.name for t in bad] == tensors.split()
    if kind:
        assert [t.diagnosis.kind for t in bad] == [kind]


def test_every_pair_of_a_file_has_its_report(run, working_directory):
    command = f"check --pair {PAIRS / 'patches_wrong.py'}"
    (record,) = run(f"{command} --json --html out.html").records
    assert record["right"] is False
    titles = [report["title"] for report in record["reports"]]
    assert titles == [name for name in MISTAKES if name.startswith("patches")]
    assert {report["outcome"] for report in record["reports"]} == {"wrong"}
    assert (working_directory / "out.html").read_text().count("<figure>") == 3 * 4
    named = run(f"{command}:NoBias --junit out.xml")
    assert "biases (wrong)" in named.out
    suites = ElementTree.parse(working_directory / "out.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["patches_wrong.py:NoBias"]


# --- what a file may define --------------------------------------------------------------

RIGHT = """
import numpy as np

class Square:
    def forward(self, x):
        print("forward!")
        self.x = x
        return x * x

    def backward(self, g):
        return 2 * self.x * g
"""


@pytest.fixture
def pair(run, working_directory):
    """Checks a text as --pair; more files by name."""

    def check(text, more="", **others):
        for name, content in {"own": text, **others}.items():
            (working_directory / f"{name}.py").write_text(content)
        return run(f"check --pair own.py {more}")

    return check


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        (f"{RIGHT}inputs = np.ones((2, 3))", "Square"),
        (f"{RIGHT}inputs_Square = {{'x': np.ones(3)}}", "Square"),
        (f"{RIGHT}def Square_inputs():\n    return np.ones(3)", "Square"),
        (f"{RIGHT}Square.inputs = np.ones(3)", "Square"),
        (
            f"{RIGHT}inputs = np.ones(3)\nfirst, second = Square(), Square()",
            "first second",
        ),
        (f"{RIGHT}inputs = np.ones(3)\nclass Other(Square): pass", "Square Other"),
        (
            f"{RIGHT}inputs = np.ones(3)\nclass Layer:\n"
            "    def forward(self, x): raise NotImplementedError\n"
            "    def backward(self, g): pass\n"
            "class Again(Layer):\n    forward, backward = Square.forward, Square.backward",
            "Square Again",
        ),
        (
            "import numpy as np\ninputs = np.ones(3)\nclass Base:\n"
            "    def forward(self, x): return 2 * x\n"
            "    def backward(self, g): return 2 * g\nclass Derived(Base): pass",
            "Base Derived",  # a base that computes is no stub
        ),
        (
            "import numpy as np\nfrom own_tools import double\ninputs = np.ones(3)\n"
            "def forward(x): return double(x)\ndef backward(g, x): return double(g)",
            "forward",
        ),
        (
            "import numpy as np\ninputs_a, b_inputs = np.ones(3), np.ones(2)\n"
            "def forward_a(x): return 2 * x\ndef backward_a(g, x): return 2 * g\n"
            "def b_forward_naive(x): return 3 * x\n"
            "def b_backward_naive(g, x): return 3 * g\ninputs_b_naive = b_inputs\n"
            "def c(x): return 4 * x\ndef cBackward(g): return 4 * g\nc_inputs = b_inputs",
            "a b_naive c",
        ),
    ],
)
def test_pairs_and_their_inputs_are_found(working_directory, text, titles):
    (working_directory / "own.py").write_text(text)
    (working_directory / "own_tools.py").write_text("def double(x): return 2 * x")
    reports = reports_on("own.py")
    assert all(reports)
    assert [r.title for r in reports] == [f"own.py:{name}" for name in titles.split()]


def test_what_the_code_prints_goes_to_stderr(pair):
    outcome = pair(f"{RIGHT}inputs = np.ones((2, 3))", "--json")
    assert outcome.status == 0
    (record,) = outcome.records  # what the code prints is not among it
    assert record["right"] is True
    assert "forward!" in outcome.err


def test_constructor_arguments_and_gradient_names_are_given_in_the_file(
    working_directory,
):
    text = """
import numpy as np

class Scale:
    def __init__(self, count, by):
        self.factor = by * np.ones(count)

    def forward(self, x):
        self.x = x
        return x * self.factor

    def backward(self, g):
        self.slope = g * self.x
        return g * self.factor

inputs = np.ones(3)
"""

    def report(more=""):
        (working_directory / "own.py").write_text(f"{text}\n{more}")
        return reports_on("own.py")[0]

    refused = report()
    assert refused.outcome == "could not read"
    why = refused.tensors[0].unread
    assert "Scale(count, by) cannot be made: missing a required argument" in why
    assert "expected `arguments_Scale = (…, …)`, or a dict, in own.py" in why
    unknown = str(report("arguments_Scale = 3, 2.0"))
    assert "no gradient of factor was found" in unknown
    assert "left slope of its shape [3]" in unknown
    given = "params_Scale = {'factor': 'slope'}"
    for arguments in ("3, 2.0", "{'count': 3, 'by': 2.0}"):
        assert report(f"arguments_Scale = {arguments}\n{given}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "own.py: nothing to check; expected functions forward_conv and backward_conv, "
         "or a class conv with methods forward and backward; found no function"),
        ("def forwards(x): pass", "found forwards"),
        (RIGHT, "own.py: no inputs for Square; expected `inputs_Square = np.random.randn"),
        (f"{RIGHT}inputs = [1, 2]", "no input is a floating array"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_one_line(working_directory, text, expected):
    (working_directory / "own.py").write_text(text)
    (report,) = reports_on("own.py")
    assert report.outcome == "could not read"
    assert expected in f"{report.title}: {report.tensors[0].unread}"


def test_what_could_not_be_read_is_one_line_and_no_gradient_is_called_wrong(pair):
    outcome = pair("", "--junit out.xml")
    assert outcome.status == 1
    (line,) = outcome.out.splitlines()
    assert line.startswith("own.py: nothing to check; expected functions forward_conv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import numpy\nx = nump.ones(3)",
         "NameError: name 'nump' is not defined (own.py, line 2: x = nump.ones(3))"),
        ("def forward(x):\n  return 2 x",
         "SyntaxError: invalid syntax (line 2: return 2 x)"),
        ("raise SystemExit('no')",
         "SystemExit: no (own.py, line 1: raise SystemExit('no'))"),
        (f"{RIGHT}inputs = np.ones(3)\ndef helper(x):\n    return x[4]\n"
         "def forward(self, x): return helper(x)\nSquare.forward = forward",
         "forward raised IndexError: index 4 is out of bounds for axis 0 with size 3 "
         "(own.py, line 14: return x[4])"),
        (f"{RIGHT}inputs = np.ones(3)\ndef backward(self, g):\n    return g @ self.y\n"
         "Square.backward = backward",
         "backward raised AttributeError: 'Square' object has no attribute 'y' (own.py, "
         "line 14: return g @ self.y)"),
    ],
)  # fmt: skip
def test_an_exception_is_a_finding_with_its_line(working_directory, text, expected):
    (working_directory / "own.py").write_text(text)
    (report,) = reports_on("own.py")
    assert report.outcome == "crashed"
    assert expected in report.tensors[0].failure


def test_an_exception_is_one_line_and_in_the_junit_file(pair, working_directory):
    outcome = pair("import numpy\nx = nump.ones(3)", "--junit out.xml")
    assert outcome.status == 1
    assert outcome.err == ""
    (line,) = outcome.out.splitlines()
    assert line.endswith("is not defined (own.py, line 2: x = nump.ones(3))")
    (suite,) = ElementTree.parse(working_directory / "out.xml").getroot()
    failure = suite.find("testcase/failure")
    assert failure.text in line


# --- a teacher's file ---------------------------------------------------------------------


def test_a_teacher_grades_each_class_of_a_students_file(pair):
    more = "--inputs teacher.py --json"
    cheat = "\ninputs_Scale = np.zeros((2, 3))\nparams = {}"
    right = pair(
        f"{RIGHT}{SCALE}{cheat}\nclass Unasked(Square): pass", more, teacher=TEACHER
    )
    assert right.status == 0
    reports = right.records[0]["reports"]
    assert [r["title"] for r in reports] == ["own.py:Scale", "own.py:Square"]
    assert [t["name"] for t in reports[0]["tensors"]] == ["x", "w"]
    assert reports[0]["tensors"][0]["worst"]["claimed"] != 0

    partial = pair(f"{RIGHT}", more, teacher=TEACHER)
    assert partial.status == 1
    missing, square = partial.records[0]["reports"]
    assert square["right"]
    assert "class Scale with methods forward and backward; found Square" in str(missing)

    wrong = pair(
        f"{RIGHT}{SCALE.replace('.sum(axis=0)', '.sum()')}", more, teacher=TEACHER
    )
    scale, square = wrong.records[0]["reports"]
    assert (scale["right"], square["right"]) == (False, True)
    assert [t["verdict"] for t in scale["tensors"]] == ["right", "wrong shape"]


def test_a_students_file_that_breaks_is_graded_as_well(pair, working_directory):
    outcome = pair("import nothing_like_that", "--inputs t.py --junit o.xml", t=TEACHER)
    assert outcome.status == 1
    (suite,) = ElementTree.parse(working_directory / "o.xml").getroot()
    assert suite.get("name") == "own.py"
    assert "ModuleNotFoundError" in suite.find("testcase/failure").text


def test_a_fault_of_the_teacher_is_an_error(pair):
    outcome = pair(RIGHT, "--inputs t.py --json", t="raise ValueError('oh')")
    assert outcome.status == 1
    assert outcome.out == ""
    assert outcome.err.startswith("error: t.py: ValueError: oh (t.py, line 1: ")
    raises = "def inputs():\n    return 1 / 0"
    assert "ZeroDivisionError" in pair(RIGHT, "--inputs t.py", t=raises).err
    empty = pair(RIGHT, "--inputs t.py", t="")
    assert "error: t.py has no inputs; expected `inputs` or inputs_NAME" in empty.err
    assert "there is no file other.py" in pair(RIGHT, "--inputs other.py").err


def test_a_file_that_is_not_there_is_an_error(run):
    outcome = run("check --pair none.py")
    assert outcome.status == 1
    assert outcome.err == "error: there is no file none.py\n"


@pytest.mark.parametrize("teacher", [None, Path("own.py")])
def test_the_same_seed_gives_the_same_numbers(working_directory, teacher):
    text = f"{RIGHT}{SCALE}arguments_Scale = 3\ninputs = np.random.rand(2, 3)"
    (working_directory / "own.py").write_text(text)

    def claims(seed):
        found = subjects_of("own.py", teacher, seed)
        reports = [verify_code(f.subject, seed=seed, only="x") for f in found]
        return [report["x"].worst.claimed for report in reports]

    assert claims(1) == claims(1)
    assert set(claims(1)).isdisjoint(claims(2))


def test_the_options_reach_the_check_of_a_pair(pair):
    text = f"{RIGHT}inputs = {{'x': np.ones(9), 'y': np.ones(3)}}\n"
    text += "Square.forward = lambda self, x, y: (x * x).sum() + y\n"
    text += "Square.backward = lambda self, g: (2 * g.sum() * np.ones(9), g)"
    options = "--json --param x --full 8 --step 1e-4 --seed 3"
    (report,) = pair(text, options).records[0]["reports"]
    (tensor,) = report["tensors"]
    assert (report["seed"], tensor["name"], tensor["blocks"]) == (3, "x", 64)
    assert tensor["worst"]["step"] >= 1e-4 / 4096


def test_what_the_output_cannot_encode_is_replaced(working_directory, monkeypatch):
    (working_directory / "own.py").write_text(f"{RIGHT}inputs = np.ones((2, 3))")
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    assert main(["check", "--pair", "own.py"]) == 0
    assert b"x       2?3    all 6" in ascii_only.buffer.getvalue()


@pytest.mark.slow
def test_self_test_prints_its_table_and_is_status_0(run):
    outcome = run("check --self-test")
    assert outcome.status == 0, outcome.out
    assert " killed" in outcome.out
    assert "0 false alarms" in outcome.out.splitlines()[-1]
