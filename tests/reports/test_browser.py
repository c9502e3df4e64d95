"""The page in a real browser, opened from a file: quiet, offline, sortable, readable with scripts off."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reports

for library in ("jinja2", "altair", "vl_convert", "jsonschema"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'mint-oracles[report]'")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

#: In milliseconds: the first start after an installation builds caches, on a machine that is busy.
PATIENCE = 180_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as session:
        path = installed or session.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium is installed: apt-get install chromium, or playwright install chromium")
        opened = session.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=PATIENCE)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(faulty: dict[str, Any], sound: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    for name, summary in (("new", faulty), ("old", sound)):
        (root / name / "findings").mkdir(parents=True)
        (root / name / "summary.json").write_text(json.dumps(summary), "utf-8")
    (root / "new" / "findings" / "conv2d-gx-wrong-subject-1.py").write_text("import numpy as np\n\nprint(1 < 2)\n")
    return reports.write_report([root / "new", root / "old"], root / "report.html")


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Open]:
    """Opens the page, and fails the test on any complaint of the console and any request but for the file."""
    complaints: list[str] = []
    requests: list[str] = []
    contexts = []

    def go(**options: Any) -> Any:
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} == {page_file.as_uri()}


def first_column(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("table.ops tbody th").all_text_contents()]


def column(page: Any, label: str) -> list[float]:
    index = int(page.locator("table.ops th[data-column]", has_text=label).first.get_attribute("data-column"))
    cells = page.locator(f"table.ops tbody tr > :nth-child({index + 1})")
    return [float(text) for text in cells.all_text_contents()]


def test_it_opens_with_the_verdict_in_sight(opened: Open) -> None:
    page = opened(viewport={"width": 1280, "height": 800})
    assert page.title() == "Mint is wrong in 2 ways"
    assert page.locator("h1").inner_text() == "Mint is wrong in 2 ways."
    assert page.locator("h1").bounding_box()["y"] < 200
    assert page.locator("figure svg").count() == 26


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_the_window_and_follows_the_colour_scheme(opened: Open, width: int, scheme: str) -> None:
    page = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert (int(red) < 64) == (scheme == "dark")


def test_columns_sort_by_number_and_by_name(opened: Open) -> None:
    page = opened()
    names = first_column(page)
    assert names[0] == "conv2d"  # worst first before anything is clicked
    header = page.locator("table.ops th[data-column='1']")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert column(page, "all") == sorted(column(page, "all"), reverse=True)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(page, "all") == sorted(column(page, "all"))
    name = page.locator("table.ops th[data-column='0']")
    name.locator("button").click()
    name.locator("button").click()
    assert first_column(page) == sorted(names)
    assert header.get_attribute("aria-sort") is None


def test_infinite_figures_sort_above_all_others(opened: Open) -> None:
    page = opened()
    order = page.evaluate("['3', '-1', 'Infinity', '20'].sort(compare)")
    assert order == ["-1", "3", "20", "Infinity"]


@pytest.mark.parametrize("clipboard", [True, False], ids=["clipboard", "without clipboard"])
def test_the_replay_line_and_the_script_are_copied_whole(opened: Open, clipboard: bool) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    if not clipboard:  # as in browsers that refuse it to a page opened from a file
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    # the label stays what it says: a busy machine may look too late
    page.evaluate("() => { window.setTimeout = () => 0; }")
    finding = page.locator("article").first
    finding.locator("button.copy").first.click()
    expect = playwright.expect  # which evaluates no string: the page's policy forbids that
    expect(finding.locator("button.copy").first).to_have_text("Copied", timeout=PATIENCE)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("mint replay 'conv2d x=(1,2,3,3)")
    assert copied.endswith("seed=3'")
    finding.locator("summary", has_text="Stand-alone script").click()
    button = finding.locator("details", has_text="Stand-alone script").locator("button.copy")
    button.click()
    expect(button).to_have_text("Copied", timeout=PATIENCE)
    assert page.evaluate("navigator.clipboard.readText()").rstrip("\n") == "import numpy as np\n\nprint(1 < 2)"


def test_with_scripts_off_everything_is_there(opened: Open) -> None:
    page = opened(java_script_enabled=False)
    assert first_column(page)[0] == "conv2d"
    assert page.locator("button").count() == 0
    assert page.locator("table.matrix td.f4").count() == 2
    assert page.locator("summary", has_text="Stand-alone script").count() == 1
