"""A real browser: Debian's chromium and chromium-driver."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

TIMEOUT = 60
#: How long a page may take to react before something is done again [s].
TAKE_TIME = 5

#: Bokeh keeps its widgets in shadow roots, which no selector looks into.
READ_ROWS = """
const found = {images: 0, rows: {}};
function collect(node) {
    if (node.tagName === "TR" && node.id) {
        found.rows[node.id] = [node.innerText, node.querySelector("td").style.color];
    }
    if (node.tagName === "IMG") found.images += 1;
    if (node.shadowRoot) collect(node.shadowRoot);
    for (const child of node.children || []) collect(child);
}
collect(document.documentElement);
return found;
"""


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("chromium and chromium-driver are not installed")
    folder = tmp_path_factory.mktemp("browser")
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"):
        options.add_argument(argument)
    browser = Chrome(options, Service(driver))
    yield browser
    browser.quit()


Found = dict[str, list[str]]


async def read_until(browser: Chrome, is_enough: Callable[[Found], bool]) -> Found:
    """Look at the page until it shows what it should; return text and colour of the rows."""
    found: Found = {}
    deadline = time.monotonic() + TIMEOUT
    while not is_enough(found):
        assert time.monotonic() < deadline, found
        result = await asyncio.to_thread(browser.execute_script, READ_ROWS)
        assert result["images"] == 0
        found = result["rows"]
        await asyncio.sleep(0.1)
    return found


#: What the page plots: times and values by field, and the range of times [unix ms]; nothing while it is made.
READ_PLOT = """
const models = [...(Bokeh.documents.at(-1)?._all_models.values() ?? [])];
const curves = {};
for (const item of models.filter(model => model.type === "Legend").flatMap(legend => legend.items)) {
    const data = item.renderers[0].data_source.data;
    curves[item.label.value] = [Array.from(data.x), Array.from(data.y).map(y => isNaN(y) ? null : y)];
}
const range = models.find(model => model.type === "Figure")?.x_range;
return {curves, range: [range?.start ?? 0, range?.end ?? 0]};
"""

#: Finds an element in any shadow root.
FIND = """
const selector = arguments[0];
function find(node) {
    if (node.matches && node.matches(selector)) return node;
    for (const child of [node.shadowRoot, ...(node.children || [])]) {
        const found = child && find(child);
        if (found) return found;
    }
    return null;
}
return find(document.documentElement);
"""


class Plot(NamedTuple):
    """What the page plots: times [unix ms] and values of each field, and the range of times that is shown."""

    curves: dict[str, tuple[list[float], list[float | None]]]
    range: tuple[float, float]


def read_plot(browser: Chrome) -> Plot:
    result = browser.execute_script(READ_PLOT)
    return Plot(result["curves"], tuple(result["range"]))


async def read_plot_until(browser: Chrome, is_enough: Callable[[Plot], bool]) -> Plot:
    """Look at the plot until it shows what it should."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            plot = await asyncio.to_thread(read_plot, browser)
            if is_enough(plot):
                return plot
            await asyncio.sleep(0.1)


async def find_element(browser: Chrome, selector: str) -> WebElement:
    """Find an element in any shadow root, as soon as it is there."""
    async with asyncio.timeout(TIMEOUT):
        while (element := await asyncio.to_thread(browser.execute_script, FIND, selector)) is None:
            await asyncio.sleep(0.1)
    assert isinstance(element, WebElement)
    return element


async def find_text(browser: Chrome, text: str) -> None:
    """Wait until a text is shown, in any shadow root."""
    script = FIND.replace("node.matches && node.matches(selector)", "node.innerText === selector")
    async with asyncio.timeout(TIMEOUT):
        while await asyncio.to_thread(browser.execute_script, script, text) is None:
            await asyncio.sleep(0.1)


async def act_until(act: Callable[[], object], is_done: Callable[[], bool]) -> None:
    """Do something with a page until it has taken it, as a user does: it may move meanwhile."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            await asyncio.to_thread(act)
            deadline = time.monotonic() + TAKE_TIME
            while time.monotonic() < deadline:
                if await asyncio.to_thread(is_done):
                    return
                await asyncio.sleep(0.1)


async def pick_field(browser: Chrome, name: str) -> None:
    """Pick a field to be plotted, as a user does."""
    entry = await find_element(browser, "input.choices__input")

    def type_name() -> None:
        entry.click()
        entry.clear()
        entry.send_keys(name)

    def click_choice() -> bool:
        """Click on the first choice, if it is this field."""
        choice = browser.execute_script(FIND, ".choices__list--dropdown .choices__item--selectable")
        if choice is None or choice.text != name:
            return False
        choice.click()
        return True

    await act_until(type_name, click_choice)
