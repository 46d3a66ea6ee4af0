"""What users do with the page: picking fields, zooming; in a real browser."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest
from selenium.webdriver import ActionChains, Chrome

from ...ports import find_free_port
from ..browser import (
    Plot,
    act_until,
    find_element,
    pick_field,
    read_plot,
    read_plot_until,
    read_until,
)
from ..conftest import Streaming
from .serving import serving

VELOCITY = "azimuth.actualVelocity"
CURRENT = "azimuthDrives.current[3]"


async def open_page(browser: Chrome, port: int) -> None:
    await asyncio.to_thread(browser.get, f"http://127.0.0.1:{port}/")
    await read_until(browser, lambda rows: "azimuth" in rows)


def count_points(plot: Plot, field: str) -> int:
    return len(plot.curves[field][0]) if field in plot.curves else 0


def has_points(plot: Plot, field: str) -> bool:
    return count_points(plot, field) > 2


@pytest.mark.slow
async def test_a_picked_field_is_plotted(streaming: Streaming, browser: Chrome) -> None:
    port = find_free_port()
    async with streaming(), serving(port):
        await open_page(browser, port)
        before = await read_plot_until(browser, lambda plot: count_points(plot, "azimuth.actualPosition") > 2)
        assert VELOCITY not in before.curves
        await pick_field(browser, VELOCITY)
        await read_plot_until(browser, lambda plot: count_points(plot, VELOCITY) > 1)
        plot = await read_plot_until(browser, lambda plot: count_points(plot, VELOCITY) > 3)
        times, values = plot.curves[VELOCITY]
        assert all(abs(later - time - 1000) < 1 for time, later in pairwise(times))
        assert all(value is not None for value in values)
        # The mean of each second.
        assert len(set(values)) > 1
        assert set(before.curves) < set(plot.curves)


@pytest.mark.slow
async def test_updates_leave_the_zoom_alone(streaming: Streaming, browser: Chrome) -> None:
    port = find_free_port()
    field = "azimuth.actualPosition"
    async with streaming(), serving(port):
        await open_page(browser, port)
        before = await read_plot_until(browser, lambda plot: count_points(plot, field) > 2)
        canvas = await find_element(browser, ".bk-CanvasPanel, .bk-Canvas")
        drag = ActionChains(browser).move_to_element_with_offset(canvas, -50, 0).click_and_hold()
        drag.move_by_offset(100, 50).release()
        await act_until(drag.perform, lambda: read_plot(browser).range[1] < before.range[1])
        num_points = count_points(read_plot(browser), field)
        # A slow browser may have been asked twice: both have had their effect by the next update.
        zoomed = await read_plot_until(browser, lambda plot: count_points(plot, field) > num_points)
        assert zoomed.range[1] - zoomed.range[0] < before.range[1] - before.range[0]
        later = await read_plot_until(browser, lambda plot: count_points(plot, field) > num_points + 3)
        assert later.range == zoomed.range
        # The page's own button makes it follow the time again.
        await asyncio.to_thread((await find_element(browser, ".bk-tool-icon-reset")).click)
        await read_plot_until(browser, lambda plot: plot.range[1] > before.range[1])


@pytest.mark.slow
async def test_each_page_has_its_own_fields(streaming: Streaming, browser: Chrome) -> None:
    port = find_free_port()
    async with streaming(), serving(port):
        windows = {}
        for field in (VELOCITY, CURRENT):
            await open_page(browser, port)
            await pick_field(browser, field)
            windows[field] = browser.current_window_handle
            if field == VELOCITY:
                await asyncio.to_thread(browser.switch_to.new_window, "window")
        for field, other in ((VELOCITY, CURRENT), (CURRENT, VELOCITY)):
            await asyncio.to_thread(browser.switch_to.window, windows[field])
            plot = await read_plot_until(browser, partial(has_points, field=field))
            assert other not in plot.curves
