"""The page stays where the user is: after a delete, while a task runs, and while a dialog is open."""

import pytest
from playwright.sync_api import expect

from tests.browser.steps import card, fill, photo, send, table, wait_done, wait_live
from tests.browser.test_owners import enter
from tests.browser.test_uploads import DROP, as_bytes

FOCUSED = "() => document.activeElement.closest('.card')?.dataset.id"
ORDER_OF_RUNNING = """async () => {
  const { Results } = await import("/page/results.js");
  const { sorted } = await import("/page/orders.js");
  const results = new Results();
  results.put({ id: "old", state: "SUCCESS", created_at: 10, changed_at: 11 });
  results.put({ id: "new", state: "PENDING", created_at: 20, changed_at: 20 });
  results.put({ id: "new", state: "PROGRESS", created_at: null, changed_at: 21 });
  results.put({ id: "unknown", state: "PROGRESS", created_at: null, changed_at: 22 });
  const ids = (views) => views.map((view) => view.id);
  return [results.get("new").created_at, ids(results.all()), ids(sorted(results.all(), "oldest"))];
}"""


@pytest.fixture(scope="module")
def dozens(stage):
    fill(stage, 38, owner="erin")


@pytest.fixture
def page(visit, stage, dozens):
    page = visit(stage.guarded, viewport={"width": 1440, "height": 900})
    enter(page, stage.tokens["erin"])
    expect(page.locator(".card")).to_have_count(38)
    return page


@pytest.mark.parametrize("by_keyboard", [False, True])
def test_delete_and_undo_keep_the_place(page, by_keyboard):
    first, second, third = (page.locator(".card").nth(n).get_attribute("data-id") for n in range(3))
    delete = page.locator(f"[data-id='{second}']").get_by_role("button", name="Delete")
    before = page.evaluate("scrollY")

    if by_keyboard:
        delete.press("Enter")
    else:
        delete.click()

    expect(page.locator(f"[data-id='{second}']")).to_have_count(0)
    assert page.evaluate(FOCUSED) == third
    assert abs(page.evaluate("scrollY") - before) < 300, "the last card is thousands of pixels below"

    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.locator(f"[data-id='{second}'] .card-title")).to_be_focused()
    assert [page.locator(".card").nth(n).get_attribute("data-id") for n in range(2)] == [first, second]


def test_delete_in_details_can_be_undone(page):
    second = page.locator(".card").nth(1)
    deleted, after = (page.locator(".card").nth(n).get_attribute("data-id") for n in (1, 2))
    second.locator(".card-title").click()

    page.locator("#drawer").get_by_role("button", name="Delete").click()
    expect(page.locator("#drawer")).to_be_hidden()
    assert page.evaluate(FOCUSED) == after
    page.get_by_role("button", name="Undo").click()

    expect(page.locator(f"[data-id='{deleted}'] .card-title")).to_be_focused()


def test_running_card_keeps_time_and_place(visit):
    made, newest_first, oldest_first = visit().evaluate(ORDER_OF_RUNNING)

    assert made == 20
    assert newest_first == ["unknown", "new", "old"]
    assert oldest_first == ["old", "new", "unknown"]


def test_drop_during_a_dialog_is_not_lost(visit):
    page = visit()
    wait_live(page)
    page.locator("#ask").check()
    send(page, table("asked first.csv"))
    sheet = page.locator("#sheet")
    expect(sheet).to_contain_text("asked first.csv")

    page.evaluate(DROP, as_bytes(photo("asked second.jpg")))
    expect(page.locator(".toast")).to_contain_text("asked second.jpg: you can choose the action next.")
    sheet.get_by_text("Store only", exact=True).click()
    sheet.get_by_role("button", name="Upload").click()
    expect(sheet).to_contain_text("asked second.jpg")
    sheet.get_by_text("Store only", exact=True).click()
    sheet.get_by_role("button", name="Upload").click()

    wait_done(page, "asked first.csv")
    wait_done(page, "asked second.jpg")
    page.locator("#ask").uncheck()
    card(page, "asked second.jpg").locator(".card-title").click()
    expect(page.locator("#drawer")).to_be_visible()
    page.evaluate(DROP, as_bytes(photo("dropped on details.jpg")))
    expect(page.locator("#drawer")).to_be_hidden()
    wait_done(page, "dropped on details.jpg")


def test_order_is_kept_after_a_reload(page):
    page.locator("#sort").select_option(label="Oldest first")
    first = page.locator(".card-title").first.text_content()

    page.reload()

    expect(page.locator("#sort")).to_have_value("oldest")
    expect(page.locator(".card-title").first).to_have_text(first)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 700)])
def test_upload_button_is_in_sight(visit, width, height):
    page = visit(viewport={"width": width, "height": height})
    wait_live(page)
    page.locator("#ask").check()

    send(page, table("long form.csv"))

    expect(page.locator("#sheet").get_by_role("button", name="Upload")).to_be_in_viewport(ratio=1)


def test_page_says_that_rejected_file_was_deleted(visit):
    page = visit()
    send(page, {"name": "fake.jpg", "mimeType": "image/jpeg", "buffer": b"<html><script>1</script></html>" * 40})
    failed = card(page, "fake.jpg")
    expect(failed.locator(".pill")).to_have_text("Failed")

    failed.locator(".card-title").click()

    expect(page.locator(".drawer-files")).to_contain_text(
        "The uploaded file was deleted. To try again, upload it again."
    )
