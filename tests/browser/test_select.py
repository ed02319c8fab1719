"""The page's gallery: select Results and download them as one ZIP, sort them, and only do what is allowed."""

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from resultstore.gateway.identity.token_file import TokenEntry, append_entry, new_token, token_hash
from tests.browser.steps import card, fill, look, send, table, wait_done
from tests.browser.test_owners import enter

SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  const moved = [];
  new PerformanceObserver((list) => list.getEntries().filter((one) => !one.hadRecentInput).forEach((one) => {
    sum += one.value;
    moved.push(...one.sources.map((from) => from.node?.className || from.node?.id || from.node?.nodeName));
  })).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve([sum, moved]), 500);
})"""
STABLE = 0.02  # a fifth of what users call good (web.dev, "Cumulative Layout Shift")


@pytest.fixture(scope="module")
def filled(stage):
    return fill(stage, 6, owner="dave")


@pytest.fixture
def page(visit, stage, filled):
    page = visit(stage.guarded, viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    enter(page, stage.tokens["dave"])
    expect(page.locator(".card")).to_have_count(6)
    return page


def test_selected_results_are_downloaded_as_zip(page, stage, filled):
    for name in ("picture 0001.webp", "picture 0003.webp"):
        card(page, name).get_by_role("checkbox").check()
    expect(page.locator("#selection")).to_contain_text("2 results selected: 2 files, ")
    look(page, "selection")

    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download as ZIP").click()

    assert re.fullmatch(r"results-\d{4}-\d\d-\d\d\.zip", fetched.value.suggested_filename)
    with zipfile.ZipFile(fetched.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["picture 0001.webp", "picture 0003.webp"]
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#selection")).to_be_hidden()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)


def test_select_all_takes_what_the_filters_show(page):
    page.locator("#search").fill("picture 000")
    card(page, "picture 0002.webp").locator(".card-title").focus()
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.type") != "checkbox":
        page.keyboard.press("Tab")
    page.keyboard.press("Space")

    page.get_by_role("button", name="Select all").press("Enter")

    expect(page.locator("#selection")).to_contain_text("6 results selected")


def test_results_are_sorted_by_time_size_and_name(page, stage):
    titles = page.locator(".card-title")
    newest = [f"picture {n:04d}.webp" for n in range(6)]
    expect(titles).to_have_text(newest)

    page.locator("#sort").select_option(label="Oldest first")
    expect(titles).to_have_text(newest[::-1])
    page.locator("#sort").select_option(label="By name")
    expect(titles).to_have_text(newest)


def test_largest_result_is_first_by_size(visit, stage):
    page = visit(viewport={"width": 1440, "height": 900})
    for name, copies in (("small.bin", 1), ("large.bin", 5000), ("middle.bin", 50)):
        send(page, {"name": name, "mimeType": "application/x-nothing", "buffer": b"\0bytes" * copies})
        wait_done(page, name)
    page.locator("#search").fill(".bin")

    page.locator("#sort").select_option(label="Largest first")
    expect(page.locator(".card-title")).to_have_text(["large.bin", "middle.bin", "small.bin"])
    page.locator("#sort").select_option(label="Smallest first")
    expect(page.locator(".card-title")).to_have_text(["small.bin", "middle.bin", "large.bin"])


def test_wide_screens_label_icon_buttons(page):
    download = card(page, "picture 0000.webp").get_by_role("button", name="Download")
    expect(download.locator(".icon-label")).to_be_visible()
    expect(download).to_have_text("Download")

    page.set_viewport_size({"width": 700, "height": 900})

    expect(download.locator(".icon-label")).to_be_hidden()


def test_token_that_only_reads_gets_no_other_buttons(visit, stage, filled):
    token = new_token()
    file = Path(stage.guarded.variables["RESULTSTORE_AUTH_TOKENS_FILE"])
    append_entry(file, TokenEntry(token_hash(token), "dave", frozenset({"read"})))
    page = visit(stage.guarded)
    page.wait_for_timeout(1_500)  # until the gateway has read the file again
    enter(page, token)

    buttons = card(page, "picture 0000.webp").locator(".card-buttons button")
    expect(buttons).to_have_count(2)
    assert [one.get_attribute("data-action") for one in buttons.all()] == ["download", "copy"]


def test_layout_stays_in_place_while_loading(visit, stage):
    page = visit(viewport={"width": 1440, "height": 900})
    page.locator("#search").fill("still")  # a new card moves the older ones, as it must
    send(page, table("still.csv"))
    page.locator("#sheet").get_by_text("Report on a table", exact=True).click()
    page.locator("#sheet").get_by_role("button", name="Upload").click()
    wait_done(page, "still.csv")
    page.wait_for_timeout(2_000)  # the row of a finished upload stays for a while
    shift, moved = page.evaluate(SHIFT)
    assert shift <= STABLE, moved

    page.reload()
    wait_done(page, "still.csv")

    shift, moved = page.evaluate(SHIFT)
    assert shift <= STABLE, moved
