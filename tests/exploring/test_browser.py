"""What a reader does with a page, done in a browser."""

import re

import numpy as np
import pytest
from exploring_nets import NETS
from test_page import HOSTILE

import tinygrad_cnn.nn as nn
from tinygrad_cnn import tensor
from tinygrad_cnn.graph import explore

pytestmark = pytest.mark.browser


def press(view, label, times=1):
    for _ in range(times):
        view.get_by_role("button", name=label, exact=True).click()


def column(view, name):
    return view.locator("#strip li").filter(
        has=view.locator(".head b", has_text=re.compile(f"^{name}$"))
    )


def matrix(view, label):
    return view.locator(".matrix").filter(
        has=view.locator(f'canvas[aria-label^="{label}, "]')
    )


def trail(view):
    return view.locator(".trail li").all_inner_texts()


def test_from_the_start_to_the_loss_and_back_to_a_weight_and_on_to_its_g(opened):
    page = opened("lenet5")
    view = page.view
    press(view, "to the start")
    assert column(view, "conv1").locator("canvas").count() == 5
    assert column(view, "L").locator(".one.unknown").count() == 2
    operations = view.locator("#strip li").count() - 1
    press(view, "a step on", operations)
    assert "the loss is known" in view.locator("output").last.inner_text()
    assert column(view, "conv1").locator(".half").last.locator("canvas").count() == 0
    assert column(view, "L").locator(".unknown").count() == 0
    press(view, "a step on", operations)
    assert view.locator("#strip .unknown").count() == 0
    column(view, "conv1").locator(".head").click()
    matrix(view, "∂L/∂w").locator(".scroll canvas").click()
    heading = view.locator("#number h2")
    assert heading.inner_text().startswith("∂L/∂conv1.weight[0, 0, 2, 2] = ")
    view.locator("#number tbody tr td button").first.click()
    assert heading.inner_text().startswith("∂L/∂conv1[0, 0, ")
    view.locator("#number tbody tr td button").first.click()
    assert heading.inner_text().startswith("∂L/∂ReLU#1[0, 0, ")
    assert len(trail(view)) == 3
    view.locator(".trail button").first.click()
    assert trail(view) == ["∂L/∂conv1.weight[0, 0, 2, 2]"]
    assert page.said == []


def test_at_the_start_no_gradient_and_no_result_is_shown(opened):
    view = opened("mnist_net").view
    view.evaluate("explored.state.restore('#stop=0&op=conv')")
    shown = view.evaluate(
        "explored.run.nodes.map((n) => ['value', 'gradient']"
        ".map((kind) => explored.run.known(n, kind, 0) !== null))"
    )
    names = view.evaluate("explored.run.nodes.map((n) => n.operation)")
    assert shown == [[not name, False] for name in names]
    for label in ("g", "∂L/∂x", "∂L/∂w", "y"):
        canvas = matrix(view, label).locator(".scroll canvas")
        assert "unknown" in canvas.get_attribute("class")


def test_an_address_brings_back_what_was_shown(opened):
    page = opened("mnist_net")
    address = "#stop=11&sel=conv[0,1,2,3]&path=conv.weight[1,0,2,2]"
    page.go(address)
    view = page.view
    assert trail(view) == ["∂L/∂conv.weight[1, 0, 2, 2]", "∂L/∂conv[0, 1, 2, 3]"]
    assert view.get_by_role("slider").input_value() == "11"
    later = view.evaluate("location.hash")
    text = view.locator("#number").inner_text()
    page.go(later)
    assert view.locator("#number").inner_text() == text
    page.go("#stop=x&sel=conv.weight[9,9,9,9]&op=%E0%A4%A&path=;;")
    assert view.locator("#number").is_hidden()
    assert page.said == []


def test_a_number_that_is_not_known_yet_leads_to_its_stop(opened):
    page = opened("mnist_net")
    page.go("#stop=3&sel=conv.weight[1,0,2,2]")
    number = page.view.locator("#number")
    assert "not yet" in number.inner_text()
    number.get_by_role("button", name="Go to stop 12").click()
    assert "Sum of all terms" in number.inner_text()


def test_contributions_of_two_uses_arrive_one_by_one(opened):
    view = opened("shared").view
    known = (
        "([name, stop]) => explored.run.knownParts(explored.run.byName.get(name), stop)"
    )
    stops = view.evaluate("explored.run.stops")
    counts = [view.evaluate(known, ["conv.weight", k])["known"] for k in range(stops)]
    assert sorted({*counts}) == [0, 1, 2]
    assert counts == sorted(counts)
    first = counts.index(1)
    sums = view.evaluate(
        "(stop) => Array.from(explored.run.known("
        "explored.run.byName.get('conv.weight'), 'gradient', stop).values)",
        first,
    )
    assert len(sums) == 36 and any(sums)
    view.evaluate("(stop) => explored.state.update({ stop })", first)
    assert "1 of 2" in view.locator("#strip").inner_text()


def test_the_keyboard_is_enough(opened):
    page = opened("mnist_net")
    view, keys = page.view, page.view.keyboard
    keys.press("ArrowLeft")
    assert view.get_by_role("slider").input_value() == "11"
    keys.press("ArrowRight")
    column(view, "conv").locator(".head").focus()
    keys.press("Enter")
    matrix(view, "∂L/∂w").locator(".scroll canvas").focus()
    for key in ("ArrowRight", "ArrowDown", "PageDown"):
        keys.press(key)
    assert "∂L/∂conv.weight[1, 0, 1, 1]" in view.locator(".said").inner_text()
    keys.press("Enter")
    assert trail(view) == ["∂L/∂conv.weight[1, 0, 1, 1]"]
    assert view.evaluate("document.activeElement.tagName") == "H2"
    view.locator("#number tbody button").first.focus()
    keys.press("Enter")
    assert len(trail(view)) == 2
    keys.press("Escape")
    assert len(trail(view)) == 1
    assert page.said == []


def test_one_cursor_lights_up_the_window_and_the_weights(opened):
    view = opened("windows").view
    column(view, "conv2").locator(".head").click()
    marks = """([letter, kind, index]) => {
      const run = explored.run, node = run.byName.get("conv2");
      const terms = explored.partsOf(run, { node, kind, index })[0].terms;
      const refs = terms.flatMap((term) => term.refs);
      return refs.filter((ref) => ref.name === letter).map((ref) => ref.index);
    }"""
    window = view.evaluate(marks, ["x", "value", [0, 1, 0, 0]])
    assert window == [
        [0, c, q, r] for c in range(3) for q in range(3) for r in range(3)
    ]


def test_the_quiz_asks_for_a_product_and_tells_right_from_wrong(opened):
    page = opened("mnist_net")
    page.go("#sel=conv.weight[1,0,2,2]")
    view, number = page.view, page.view.locator("#number")
    press(view, "Quiz")
    assert "?" in number.locator("h2").inner_text()
    assert "Sum of all terms" not in number.inner_text()
    row = int(re.search(r"row (\d+)", number.locator("form").inner_text())[1]) - 1
    cells = number.locator("tbody tr").nth(row).locator("td").all_inner_texts()
    g, x = (float(text.split("= ")[1].replace("−", "-")) for text in cells[:2])
    number.get_by_label("your answer").fill(str(-g * x))
    press(view, "Check")
    assert "Look at the sign." in number.inner_text()
    number.get_by_label("your answer").fill(str(g * x))
    press(view, "Check")
    assert "Sum of all terms" in number.inner_text()


def test_the_search_finds_numbers_and_what_is_remarkable(opened):
    page = opened("lenet5")
    view = page.view

    def search(text):
        view.get_by_label("search").fill(text)
        press(view, "Find")
        return view.locator(".search output").inner_text()

    assert search("conv2.weight[3,1,0,4]") == ""
    assert trail(view) == ["∂L/∂conv2.weight[3, 1, 0, 4]"]
    assert search("nan") == "Every value and every gradient is finite."
    assert re.match(r"ReLU#\d blocks [\d,]+ of [\d,]+ values", search("dead"))
    assert "is at dense3.bias[3]" in search("largest |g|")
    assert search("no such") == "Nothing here is called that."
    assert search("pool2d#2") == ""
    assert view.locator("#operation h2").inner_text().startswith("MaxPool2d#2")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off_or_too_small(opened, scheme):
    page = opened("lenet5", viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page.go("#sel=conv2.weight[1,0,2,2]")
    view = page.view
    assert view.evaluate("document.documentElement.scrollWidth") <= 390
    sizes = view.evaluate(
        "[...document.querySelectorAll('body *')].filter((e) => e.offsetParent && "
        "[...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))"
        ".map((e) => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11


def test_on_paper_there_is_no_player(opened):
    view = opened("mnist_net").view
    view.emulate_media(media="print")
    assert view.locator(".player").is_hidden()
    assert column(view, "conv").is_visible()


def test_nothing_that_a_name_says_is_executed(browser, tmp_path):
    from conftest import Opened

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module(HOSTILE.replace(".", ""), nn.Linear(4, 3))

        def forward(self, x):
            (layer,) = self.children()
            return layer(x)

    x = tensor(np.ones((1, 4), np.float32))
    file = explore(Net(), x, tensor([1]), title=HOSTILE).save(tmp_path / "page.html")
    page = Opened(browser, file)
    page.view.on("dialog", lambda dialog: page.said.append(dialog.message))
    for name in page.view.evaluate("explored.run.nodes.map((n) => n.name)"):
        page.view.evaluate(
            "(name) => { const node = explored.run.byName.get(name);"
            "const index = node.value.shape.map(() => 0);"
            "if (node.gradient) explored.state.open(node, 'gradient', index); }",
            name,
        )
    assert page.view.locator("img").count() == 0
    assert page.said == []
    page.go(page.view.evaluate("location.hash"))
    assert page.view.locator("#number").is_visible()
    assert page.said == []


@pytest.mark.parametrize("name", NETS)
def test_every_operation_and_every_stop_can_be_shown(opened, name):
    page = opened(name)
    page.view.evaluate(
        """() => {
          const { run, state } = explored;
          for (const operation of run.operations) state.update({ operation });
          for (let stop = 0; stop < run.stops; stop++) state.update({ stop });
          for (const node of run.nodes) {
            for (const kind of ["value", "gradient"]) {
              if (node[kind]) state.open(node, kind, node.value.shape.map((n) => n - 1));
            }
          }
        }"""
    )
    assert page.said == []
