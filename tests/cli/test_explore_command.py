"""`explore`: a page, from the command line."""

import base64
import json
import re
import zlib

import numpy as np
import pytest


def header_of(file):
    """What a page says of its run."""
    (data,) = re.findall(r'id="data">([^<]*)</script>', file.read_text("utf-8"))
    packed = zlib.decompress(base64.b64decode(data), -15)
    return json.loads(packed[4 : 4 + int.from_bytes(packed[:4], "little")])


def test_a_page_is_written_and_told(run, working_directory):
    outcome = run("explore net.py --data digits --image 3 --out page.html")
    assert outcome.status == 0
    assert re.match(
        r"page\.html: Net on digits 3, labelled \d, [\d.]+ KiB\n", outcome.out
    )
    header = header_of(working_directory / "page.html")
    names = [node["name"] for node in header["nodes"]]
    assert names[:2] == ["input", "layers.0"] and names[-1] == "L"
    assert "Net on digits 3" in header["title"]


def test_without_out_it_has_the_name_of_the_model(run, working_directory):
    assert run("explore net.py --data digits").status == 0
    assert (working_directory / "net.html").is_file()


@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 1, 28, 28)])
def test_an_input_of_ones_own(run, working_directory, shape):
    np.save(working_directory / "x.npy", np.zeros(shape))
    line = "explore net.py --data digits --input x.npy --label 4"
    labels = ", ".join(["4"] * (len(shape) - 2))
    assert f"Net on x.npy, labelled {labels}, " in run(line).out
    nodes = header_of(working_directory / "net.html")["nodes"]
    assert [n["shape"] for n in nodes if n["name"] == "input"] == [
        [len(shape) - 2, 1, 28, 28]
    ]
    assert run(line.replace(" --label 4", "")).status == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--image 100000", "test images 0 to"),
        ("--input words.npy", "holds <U1, no numbers"),
        ("--input none.npy", "none.npy"),
        ("--input x.npy --label 12", "12 is out of bounds"),
    ],
)
def test_mistakes_are_answered_in_a_line(run, working_directory, line, words):
    np.save(working_directory / "words.npy", np.array(["a"]))
    np.save(working_directory / "x.npy", np.zeros((1, 28, 28)))
    outcome = run(f"explore net.py --data digits {line}")
    assert outcome.status == 1
    assert words in outcome.err
    assert not list(working_directory.glob("*.html"))
