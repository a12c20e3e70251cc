"""A browser, where there is one, and pages in it."""

import shutil

import pytest
from exploring_nets import NETS, computed

from tinygrad_cnn.graph.exploring.page import Page
from tinygrad_cnn.graph.exploring.run import Run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright; skips where either is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is missing")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the path")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield found
        found.close()


class Opened:
    """A page in the browser; `said` is what the console and the network have of it."""

    def __init__(self, browser, file, **options):
        self.view = browser.new_page(**options)
        self.view.set_default_timeout(10_000)
        self.said = []
        self.view.on("console", lambda message: self.said.append(message.text))
        self.view.on("pageerror", lambda error: self.said.append(str(error)))
        self.view.on("request", lambda request: self.said.append(request.url))
        self.file = f"file://{file}"
        self.go()

    def go(self, address=""):
        self.view.goto("about:blank")
        self.view.goto(self.file + address)
        self.view.wait_for_selector("#strip li")
        self.said = [
            text
            for text in self.said
            if not text.startswith(self.file) and text != "about:blank"
        ]


@pytest.fixture(scope="session")
def runs():
    """The run of each net: (loss, run), computed when asked for."""
    made = {}

    def run_of(name):
        if name not in made:
            loss, names = computed(*NETS[name]())
            made[name] = loss, Run(loss, names)
        return made[name]

    return run_of


@pytest.fixture
def opened(browser, runs, tmp_path):
    """Opens the page of a net."""
    pages = []

    def open_page(name, **options):
        page = Page(runs(name)[1], name)
        shown = Opened(browser, page.save(tmp_path / f"{name}.html"), **options)
        pages.append(shown)
        return shown

    yield open_page
    for page in pages:
        page.view.close()
