"""The page recovers: from a reload, a lost network, a restarted gateway and an expired link."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import shot
from tests.browser.steps import card, choose_task, large_table, photo, send, wait_done, wait_live
from tests.browser.test_uploads import network, slowed

EXPIRED = {
    "status": 403,
    "headers": {"access-control-allow-origin": "*"},
    "body": "<Error><Code>AccessDenied</Code></Error>",
}


def test_upload_resumes_after_reload_with_missing_parts(visit, tmp_path):
    page = visit()
    slow = slowed(page, 7_000_000)
    file = large_table(tmp_path, "reloaded.csv", size_bytes=35_000_000)
    send(page, file)
    choose_task(page, "Convert a table")
    bar = page.locator(".row .bar")
    while int(bar.get_attribute("aria-valuenow")) < 80:  # three of five parts
        page.wait_for_timeout(20)

    page.reload()
    slow.detach()
    broken = card(page, "reloaded.csv")
    expect(broken.locator(".pill")).to_have_text("Upload interrupted")
    asked = []
    page.on("request", lambda request: request.method == "PUT" and asked.append(request.url))
    with page.expect_file_chooser() as chooser:
        broken.get_by_role("button", name="Resume").click()
    chooser.value.set_files(file)

    wait_done(page, "reloaded.csv")
    assert 0 < len(asked) <= 3, "five parts in all, of which some were there"


def test_interrupted_upload_can_be_discarded_after_reload(visit, stage, tmp_path):
    page = visit()
    slow = slowed(page, 1_000_000)
    send(page, large_table(tmp_path, "thrown away.csv"))
    choose_task(page, "Convert a table")
    expect(page.locator(".row-facts")).to_contain_text("MB/s")
    page.reload()
    slow.detach()
    broken = card(page, "thrown away.csv")
    expect(broken.locator(".pill")).to_have_text("Upload interrupted")
    expect(broken).to_have_attribute("data-tone", "idle")
    expect(broken.locator(".card-top .bar")).to_be_hidden()
    broken.locator(".card-title").click()
    expect(page.locator(".timeline")).to_contain_text("Upload interrupted")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    upload_id = broken.get_attribute("data-id")

    broken.get_by_role("button", name="Discard").click()
    expect(page.locator(".toast")).to_contain_text("thrown away.csv discarded.")
    page.get_by_role("button", name="Dismiss").click()

    expect(broken).to_have_count(0)
    with stage.http() as client:
        for _ in range(200):
            if client.get(f"/v1/uploads/{upload_id}").status_code == 404:
                break
            page.wait_for_timeout(50)
        assert client.get(f"/v1/uploads/{upload_id}").status_code == 404


def test_upload_waits_while_offline_and_resumes(visit, tmp_path):
    page = visit(loads_fail=True)
    slow = slowed(page, 4_000_000)
    send(page, large_table(tmp_path, "offline.csv"))
    choose_task(page, "Convert a table")
    facts = page.locator(".row-facts")
    expect(facts).to_contain_text("MB/s")

    network(slow, offline=True)
    expect(facts).to_contain_text("offline")
    expect(page.locator("#banner")).to_contain_text("You are offline")
    shot(page, "offline")
    network(slow, offline=False)

    wait_done(page, "offline.csv")
    expect(page.locator("#banner")).to_be_hidden()


def test_page_reconnects_after_gateway_restart(visit, stage):
    page = visit(loads_fail=True)
    wait_live(page)
    live = page.locator("#health li").filter(has_text="Live").first

    stage.open.kill()
    expect(live).not_to_have_attribute("data-state", "good")
    expect(page.locator("#banner")).to_contain_text("The server does not answer.")
    stage.open.start()

    expect(live).to_have_attribute("data-state", "good")
    expect(page.locator("#banner")).to_be_hidden()
    send(page, photo("after the restart.jpg"))
    wait_done(page, "after the restart.jpg")


def test_expired_preview_link_is_renewed(visit):
    first = visit()
    send(first, photo("expiring.jpg"))
    wait_done(first, "expiring.jpg")
    page = visit(loads_fail=True)
    refused = []

    def expire(route):
        refused.append(route.request.url)
        route.fulfill(**EXPIRED)

    page.route(re.compile(r"127\.0\.0\.1:\d+/"), expire, times=1)  # what a link says that is too old
    page.reload()

    expect(card(page, "expiring.jpg").locator("img.loaded").last).to_be_visible()
    assert refused
