"""A real browser: Debian's chromium and chromium-driver."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

TIMEOUT = 60

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


def find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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
    async with asyncio.timeout(TIMEOUT):
        while not is_enough(found):
            result = await asyncio.to_thread(browser.execute_script, READ_ROWS)
            assert result["images"] == 0
            found = result["rows"]
            await asyncio.sleep(0.1)
    return found
