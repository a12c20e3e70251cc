"""What is in a page: the bits of the run, a policy, and no markup of the user's."""

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from exploring_nets import NETS

import tinygrad_cnn.nn as nn
from tinygrad_cnn import tensor
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.graph import explore
from tinygrad_cnn.graph.exploring import page as page_module

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x00\x1b\ud800"
)


def unpacked(html):
    """The header and the arrays of a page."""
    (data,) = re.findall(r'id="data">([^<]*)</script>', html)
    packed = zlib.decompress(base64.b64decode(data), -15)
    size = int.from_bytes(packed[:4], "little")
    planes = np.frombuffer(packed[4 + size :], np.uint8).reshape(4, -1)
    numbers = np.ascontiguousarray(planes.T).view("<f4").ravel()
    header, arrays, start = json.loads(packed[4 : 4 + size]), [], 0
    for shape in header["arrays"]:
        count = int(np.prod(shape))
        arrays.append(numbers[start : start + count].reshape(shape))
        start += count
    return header, arrays


def explored(name, **options):
    model, x, labels = NETS[name]()
    return model, x, labels, explore(model, x, labels, **options)


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_every_value_and_gradient_has_the_bits_of_a_run_of_ones_own():
    model, x, labels, page = explored("lenet5")
    header, arrays = unpacked(page.html)
    nodes = {node["name"]: node for node in header["nodes"]}
    x.requires_grad_()
    y = model(x)
    y.retain_grad()
    loss = model.loss(y, labels)
    loss.backward()
    asked = dict(model.named_parameters()) | {"input": x, "LogSoftmax": y}
    for name, own in asked.items():
        node = nodes[name]
        np.testing.assert_array_equal(arrays[node["value"]], own.detach().numpy())
        np.testing.assert_array_equal(arrays[node["gradient"]], own.grad.numpy())
    np.testing.assert_array_equal(arrays[nodes["L"]["value"]], loss.detach().numpy())


def test_contributions_add_up_to_the_gradient():
    header, arrays = unpacked(explored("shared")[-1].html)
    several = [node for node in header["nodes"] if node.get("contributions")]
    assert {"conv.weight", "conv.bias", "input"} <= {node["name"] for node in several}
    for node in several:
        total = sum([arrays[part["value"]] for part in node["contributions"]])
        np.testing.assert_allclose(total, arrays[node["gradient"]], 1e-5, 1e-6)


def test_the_model_is_left_as_it_was():
    model, x, labels = NETS["shared"]()
    explore(model, x, labels)
    assert all(p.grad is None for p in model.parameters())
    assert not x.requires_grad


@pytest.mark.parametrize(("name", "limit"), [("mnist_net", 500), ("lenet5", 1331)])
def test_a_page_is_small(name, limit):
    assert len(explored(name)[-1].html.encode()) <= limit * 1024


def test_a_page_above_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(page_module, "LIMIT", 10_000)
    with pytest.raises(ArgumentError, match=r"more than 9\.77 KiB"):
        explored("windows")


def test_without_a_loss_of_one_element_it_is_refused():
    model, x, _ = NETS["windows"]()
    with pytest.raises(ArgumentError, match="give labels"):
        explore(model, x)


def test_the_policy_allows_the_pages_own_code_and_nothing_else():
    html = explored("windows")[-1].html
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    for kind in ("script", "style"):
        (text,) = re.findall(
            rf"<{kind}(?: type=\"module\")?>(.*?)</{kind}>", html, re.S
        )
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http:" not in html and "https:" not in html


def test_no_name_and_no_title_becomes_markup():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module(HOSTILE.replace(".", ""), nn.Linear(4, 3))

        def forward(self, x):
            (layer,) = self.children()
            return layer(x)

    x = tensor(np.ones((1, 4), np.float32))
    plain = explore(Net(), x, tensor([1])).html
    html = explore(Net(), x, tensor([1]), title=HOSTILE).html
    assert Tags(html).tags == Tags(plain).tags
    assert Tags(html).attributes == Tags(plain).attributes
    html.encode()
    header, _ = unpacked(html)
    assert any(HOSTILE in node["name"] for node in header["nodes"])


def test_a_notebook_gets_a_frame_that_may_run_scripts_and_nothing_else():
    page = explored("windows")[-1]
    frame = page._repr_html_()
    assert Tags(frame).tags == ["iframe"]
    assert 'sandbox="allow-scripts"' in frame
    assert repr(page).startswith("a page of ")


def test_the_modules_that_are_joined_share_no_name():
    html = explored("windows")[-1].html
    (code,) = re.findall(r'<script type="module">(.*?)</script>', html, re.S)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", code, re.M)
    assert len(names) == len({*names})
    assert not re.search(r"^(import|export) ", code, re.M)


@pytest.mark.parametrize(("width", "digits", "step"), [(3, 5, 2**-16), (2, 2, 2**-8)])
def test_many_numbers_are_rounded_and_the_page_says_so(
    monkeypatch, width, digits, step
):
    exact = unpacked(explored("mlp")[-1].html)[1]
    count = sum([array.size for array in exact])
    monkeypatch.setattr(page_module, "TARGET", count * width * 5 / 4)
    html = explored("mlp")[-1].html
    header, rounded = unpacked(html)
    assert header["digits"] == digits
    for own, right in zip(rounded, exact, strict=True):
        np.testing.assert_allclose(own, right, step, 1e-40)


def test_what_is_not_finite_stays():
    numbers = np.array([np.inf, -np.inf, np.nan, 3.4e38, 1.0], np.float32)
    page_module._round(numbers, 2)
    assert np.isnan(numbers[2])
    assert numbers[[0, 1, 4]].tolist() == [np.inf, -np.inf, 1]
