"""Uploads by the page: files are chosen, dropped and pasted, until their results appear."""

import hashlib

from playwright.sync_api import expect

from tests.browser.conftest import shot
from tests.browser.steps import card, choose_task, large_table, long_report, photo, send, table, wait_done, wait_live

DROP = """([name, type, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
  for (const event of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(event, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
DRAG = DROP.replace(', "drop"', "")
PASTE = """([name, type, bytes]) => {
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([new Uint8Array(bytes)], name, { type }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""
HOSTILE = '<img src=x onerror="document.title=1">"\'.jpg'


def as_bytes(file):
    return [file["name"], file["mimeType"], list(file["buffer"])]


def test_chosen_photo_becomes_a_downloadable_card(visit, stage):
    page = visit()

    send(page, photo("chosen.jpg"))
    done = wait_done(page, "chosen.jpg")

    expect(done.locator(".frame img.loaded").last).to_be_visible()
    expect(done.locator(".card-facts")).to_contain_text("→")
    with page.expect_download() as fetched:
        done.get_by_role("button", name="Download").click()
    content = fetched.value.path().read_bytes()
    with stage.http() as client:
        view = client.get(f"/v1/results/{done.get_attribute('data-id')}").json()
    made = max(view["artifacts"], key=lambda one: one["metadata"]["width"])
    assert hashlib.sha256(content).hexdigest() == made["sha256"]
    assert fetched.value.suggested_filename == made["file_name"]


def test_page_sends_its_ticket_back(visit):
    page, tickets = visit(), []
    page.on("request", lambda one: one.url.endswith("/complete") and tickets.append(one.headers.get("upload-ticket")))

    send(page, photo("kept.jpg"))
    wait_done(page, "kept.jpg")

    assert len(tickets) == 1
    assert tickets[0]


def test_a_file_can_be_dropped_anywhere_and_pasted(visit):
    page = visit()
    wait_live(page)

    page.evaluate(DRAG, as_bytes(photo("dropped.jpg")))
    expect(page.locator("#veil.shown")).to_be_visible()
    shot(page, "drop")
    page.evaluate(DROP, as_bytes(photo("dropped.jpg")))
    page.evaluate(PASTE, as_bytes(photo("pasted.jpg")))

    wait_done(page, "dropped.jpg")
    wait_done(page, "pasted.jpg")
    expect(page.locator("#veil.shown")).to_have_count(0)


def test_table_task_is_chosen_and_progress_shown(visit):
    page = visit()
    page.evaluate("""() => {
      window.seen = new Set();
      new MutationObserver(() => document.querySelectorAll(".pill").forEach((one) => window.seen.add(one.textContent)))
        .observe(document.getElementById("gallery"), { subtree: true, childList: true, characterData: true });
    }""")

    send(page, table("asked.csv"))
    choose_task(page, "Report on a table")
    wait_done(page, "asked.csv")

    seen = page.evaluate("[...window.seen]")
    assert any(text.startswith("Running ") and text.endswith("%") for text in seen), seen


def test_multipart_upload_shows_rate_and_pauses(visit, stage, tmp_path):
    page = visit()
    slow = slowed(page, 3_000_000)

    sent = large_table(tmp_path, "parts.csv")
    send(page, sent)
    choose_task(page, "Convert a table")
    row = page.locator(".row").filter(has_text="parts.csv")
    expect(row.locator(".row-facts")).to_contain_text("MB/s")
    expect(row.locator(".row-facts")).to_contain_text("left")
    shot(page, "uploading")
    row.get_by_role("button", name="Pause").click()
    expect(row.locator(".row-facts")).to_contain_text("paused")
    slow.detach()
    row.get_by_role("button", name="Resume").click()

    done = wait_done(page, "parts.csv")
    with stage.http() as client:
        view = client.get(f"/v1/results/{done.get_attribute('data-id')}").json()
    assert view["input"]["size_bytes"] == sent.stat().st_size
    assert view["artifacts"][-1]["metadata"]["rows"] == sent.read_bytes().count(b"\n") - 1


def test_upload_can_be_cancelled(visit, tmp_path):
    page = visit()
    slowed(page, 1_000_000)

    send(page, large_table(tmp_path, "given up.csv"))
    choose_task(page, "Convert a table")
    row = page.locator(".row").filter(has_text="given up.csv")
    expect(row.locator(".row-facts")).to_contain_text("MB/s")
    row.get_by_role("button", name="Cancel the upload").click()

    expect(row).to_have_count(0)
    expect(card(page, "given up.csv")).to_have_count(0)


def test_file_chosen_before_session_waits_for_it(visit):
    page = visit()
    held = []
    page.route("**/v1/session", lambda route: held.append(route))  # noqa: PLW0108 - Playwright counts its arguments
    page.reload()

    send(page, photo("early.jpg"))
    while not held:
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)
    assert page.locator(".toast").count() == 0
    held.pop().continue_()

    wait_done(page, "early.jpg")


def test_running_task_can_be_cancelled(visit, tmp_path):
    page = visit()
    send(page, long_report(tmp_path, "long.csv"))
    choose_task(page, "Report on a table")
    running = card(page, "long.csv")
    expect(running.locator(".pill")).to_contain_text("Running")

    running.get_by_role("button", name="Cancel").click()

    expect(running.locator(".pill")).to_have_text("Cancelled")
    send(page, photo("after.jpg"))
    wait_done(page, "after.jpg")
    expect(running.locator(".pill")).to_have_text("Cancelled")


def test_file_without_a_task_is_stored_as_it_is(visit, stage):
    page = visit()
    wait_live(page)
    expect(page.locator("#hero-text")).to_have_text(
        "Pictures, tables, PDFs and videos are processed. Any other file can be stored as it is."
    )

    send(page, {"name": "song.xyz", "mimeType": "application/x-nothing", "buffer": b"\0 12345"})
    expect(page.locator(".toast")).to_have_text(
        "song.xyz: no task here can process this type of file. It will be stored as it is."
    )
    done = wait_done(page, "song.xyz")

    with page.expect_download() as fetched:
        done.get_by_role("button", name="Download").click()
    assert fetched.value.path().read_bytes() == b"\0 12345"
    assert fetched.value.suggested_filename == "song.xyz"
    result = stage.store.load(done.get_attribute("data-id"))
    assert [one.key.split("/")[0] for one in result.artifacts] == ["uploads"], "in place, without a copy"


def test_store_only_keeps_a_picture_with_a_preview(visit, stage):
    page = visit()
    page.locator("#ask").check()
    kept = photo("kept as it is.jpg")

    send(page, kept)
    choose_task(page, "Store only")
    done = wait_done(page, "kept as it is.jpg")

    expect(done.locator(".frame img.loaded").last).to_be_visible()
    with page.expect_download() as fetched:
        done.get_by_role("button", name="Download").click()
    assert fetched.value.path().read_bytes() == kept["buffer"]
    with stage.http() as client:
        view = client.get(f"/v1/results/{done.get_attribute('data-id')}").json()
    assert view["input"]["media_type"] == "image/jpeg"
    assert [one["metadata"]["role"] for one in view["artifacts"]] == ["preview"]


def test_accepted_types_are_listed_by_task(visit):
    page = visit()

    page.locator("#accepted summary").click()

    expect(page.locator("#accepted-types")).to_contain_text("Resize a pictureJPEG, PNG, WebP, AVIF, GIF, up to 268 MB")
    expect(page.locator("#accepted-types")).to_contain_text("Store onlyany file, up to 17 GB")


def test_disguised_file_fails_with_its_reason(visit):
    page = visit()

    send(page, {"name": "not a photo.jpg", "mimeType": "image/jpeg", "buffer": b"<html><script>1</script></html>" * 40})

    failed = card(page, "not a photo.jpg")
    expect(failed.locator(".pill")).to_have_text("Failed")
    failed.locator(".card-title").click()
    expect(page.locator(".failure")).to_be_visible()
    shot(page, "failure")


def test_a_name_that_is_markup_stays_a_name(visit):
    page = visit()
    title = page.title()

    send(page, photo(HOSTILE))
    done = wait_done(page, HOSTILE)
    done.locator(".card-title").click()

    expect(page.locator("#drawer-title")).to_have_text(HOSTILE)
    assert page.title() == title
    assert page.locator("img[src='x']").count() == 0


def slowed(page, bytes_a_second):
    """A network of this speed, until the session is detached."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    network(session, bytes_a_second)
    return session


def network(session, bytes_a_second=-1, *, offline=False):
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second},
    )
