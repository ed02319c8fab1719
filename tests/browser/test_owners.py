"""Two owners at one gateway: each signs in with a token and sees only their own results."""

from playwright.sync_api import expect

from tests.browser.steps import card, look, photo, send, wait_done, wait_live


def enter(page, token):
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_page_requires_a_valid_token(visit, stage):
    page = visit(stage.guarded)

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    look(page, "sign-in")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    enter(page, "rst_wrong")

    expect(page.get_by_role("alert")).to_contain_text("unknown")
    assert page.locator(".card").count() == 0


def test_owners_see_only_their_own_results(visit, stage):
    alice, bob = visit(stage.guarded), visit(stage.guarded)
    enter(alice, stage.tokens["alice"])
    enter(bob, stage.tokens["bob"])
    wait_live(bob)

    send(alice, photo("of alice.jpg"))
    done = wait_done(alice, "of alice.jpg")
    send(bob, photo("of bob.jpg"))
    wait_done(bob, "of bob.jpg")

    expect(card(bob, "of alice.jpg")).to_have_count(0)
    expect(card(alice, "of bob.jpg")).to_have_count(0)
    with stage.http("bob") as client:
        foreign = client.get(f"/v1/results/{done.get_attribute('data-id')}")
    assert foreign.status_code == 404


def test_token_is_stored_for_the_tab_only(visit, stage):
    page = visit(stage.guarded)
    enter(page, stage.tokens["alice"])
    wait_live(page)
    page.reload()
    wait_live(page)  # kept over a reload

    kept = page.evaluate("[Object.keys(localStorage).length, document.cookie, Object.keys(sessionStorage)]")
    assert kept == [0, "", ["resultstore.token"]]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("Object.keys(sessionStorage)") == []
    assert page.locator(".card").count() == 0
