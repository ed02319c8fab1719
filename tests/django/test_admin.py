"""The admin's page of results: what it lists, how it is filtered, its links and its buttons."""

import html
import re
import urllib.request
import uuid

import pytest
from django.test import Client

from resultstore import Progress, Result, State
from resultstore.backends.celery import store_of
from tests.django.conftest import logged_in
from tests.uploads.telling import until

pytestmark = pytest.mark.usefixtures("project", "worker")
LIST = "/admin/resultstore/storedresult/"


def listed(page) -> list[str]:
    """The ids in the rows of the page."""
    return re.findall(r'<th><a href="[^"]+">([^<]+)</a></th>', page.content.decode())


@pytest.fixture
def word() -> str:
    return uuid.uuid4().hex


def test_list_shows_results_with_links(app, browser):
    sent = app.send_task("shop.report", (2026,))
    sent.get(timeout=60)

    page = browser.get(LIST, {"q": sent.id})

    assert listed(page) == [sent.id]
    assert "orders &amp; more.csv" in page.content.decode()
    assert f"{LIST}artifact/?id={sent.id}&amp;name=orders%20%26%20more.csv" in page.content.decode()


def test_artifact_link_leads_to_the_bytes(app, browser):
    sent = app.send_task("shop.report", (2027,))
    sent.get(timeout=60)

    answer = browser.get(f"{LIST}artifact/", {"id": sent.id, "name": "orders & more.csv"})

    assert answer.status_code == 302
    with urllib.request.urlopen(answer["Location"]) as content:
        assert content.read() == b"year\n2027\n"


def test_missing_artifact_is_a_message(app, browser):
    sent = app.send_task("shop.report", (2027,))
    sent.get(timeout=60)

    page = browser.get(f"{LIST}artifact/", {"id": sent.id, "name": "none.csv"}, follow=True)

    assert page.status_code == 200
    assert any("none.csv" in str(one) for one in page.context["messages"])


def test_filter_and_search_choose_the_rows(app, browser, word):
    store = store_of(app)
    states = {"SUCCESS": 2, "STARTED": 1, "FAILURE": 1}
    made = {state: [f"{word}-{state}-{n}" for n in range(count)] for state, count in states.items()}
    for state, ids in made.items():
        for one in ids:
            store.save(Result(id=one, state=State(state), task=f"task.{word}", owner=f"Ann {word}"))

    every, failed = browser.get(LIST, {"q": word}), browser.get(LIST, {"q": word, "state": "FAILURE"})
    by_task, by_owner = browser.get(LIST, {"q": f"TASK.{word}"}), browser.get(LIST, {"q": f"ann {word}"})

    assert sorted(listed(every)) == sorted(one for ids in made.values() for one in ids)
    assert listed(failed) == made["FAILURE"]
    assert len(listed(by_task)) == len(listed(by_owner)) == 4
    assert "SUCCESS (2)" in every.content.decode()


def test_pages_show_the_newest_first(app, browser, word):
    store = store_of(app)
    for n in range(60):
        store.save(Result(id=f"{word}-{n:02}", state=State.SUCCESS, task=word, created_at=1_000.0 + n))

    first, second = (listed(browser.get(LIST, {"q": word, "p": p})) for p in ("1", "2"))
    beyond, no_number = (listed(browser.get(LIST, {"q": word, "p": p})) for p in ("99", "²"))

    assert first == [f"{word}-{n:02}" for n in range(59, 9, -1)]
    assert second == beyond == [f"{word}-{n:02}" for n in range(9, -1, -1)]
    assert no_number == first


def test_progress_of_a_running_task_is_shown(app, browser, word):
    store_of(app).save(Result(id=word, state=State.PROGRESS, progress=Progress(1, 4)))

    assert "PROGRESS 25 %" in browser.get(LIST, {"q": word}).content.decode()


def test_result_page_escapes_what_a_task_raised(app, browser):
    sent = app.send_task("shop.fail")
    with pytest.raises(ValueError, match="no orders"):
        sent.get(timeout=60)

    page = browser.get(f"{LIST}result/", {"id": sent.id}).content.decode()

    assert "&lt;b&gt;no orders&lt;/b&gt;" in page
    assert "<b>no orders" not in page
    assert "Traceback (most recent call last)" in page


def test_ended_task_is_sent_again_for_its_owner(app, browser):
    sent = app.send_task("shop.report", (2028,), headers={"resultstore_owner": "ann"})
    sent.get(timeout=60)

    page = browser.post(f"{LIST}retry/", {"id": sent.id}, follow=True)

    [message] = page.context["messages"]
    again = app.AsyncResult(str(message).rpartition(" ")[2])
    assert again.id != sent.id
    assert again.get(timeout=60).name == "orders & more.csv"
    assert store_of(app).load(again.id).owner == "ann"


def test_task_without_kept_arguments_is_not_sent(app, browser, word):
    store_of(app).save(Result(id=word, state=State.SUCCESS, task="shop.report"))

    page = browser.post(f"{LIST}retry/", {"id": word}, follow=True)

    assert "CELERY_RESULT_EXTENDED" in str(next(iter(page.context["messages"])))


def test_running_task_is_revoked(app, browser):
    sent = app.send_task("shop.wait")
    until(lambda: sent.state == "STARTED", "the task has started")

    browser.post(f"{LIST}revoke/", {"id": sent.id})

    until(lambda: sent.state == "REVOKED", "the task is revoked")


def test_ended_task_is_not_revoked(app, browser, word):
    store_of(app).save(Result(id=word, state=State.SUCCESS, task="shop.report"))

    page = browser.post(f"{LIST}revoke/", {"id": word}, follow=True)

    assert "has ended" in str(next(iter(page.context["messages"])))


@pytest.mark.parametrize("view", ["", "result/?id=x", "artifact/?id=x"])
def test_pages_need_permission_to_view(view):
    assert logged_in("nobody").get(LIST + view).status_code == 403
    assert Client().get(LIST + view).status_code == 302  # to the log-in


@pytest.mark.parametrize("view", ["retry", "revoke"])
def test_buttons_need_permission_and_post(app, browser, word, view):
    store_of(app).save(Result(id=word, state=State.STARTED, task="shop.report"))
    viewer = logged_in("viewer", "view_storedresult")

    assert viewer.post(f"{LIST}{view}/", {"id": word}).status_code == 403
    assert browser.get(f"{LIST}{view}/", {"id": word}).status_code == 403
    seen = viewer.get(LIST, {"q": word})
    assert listed(seen) == [word]
    assert ">Revoke<" not in seen.content.decode()


def test_buttons_are_safe_from_other_sites(app, word):
    client = logged_in("admin", superuser=True)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    store_of(app).save(Result(id=word, state=State.STARTED, task="shop.report"))

    assert strict.post(f"{LIST}revoke/", {"id": word}).status_code == 403


def test_unknown_result_is_not_found(browser, word):
    assert browser.get(f"{LIST}result/", {"id": word}).status_code == 404


@pytest.mark.parametrize("start", ["../../../auth/user/7/delete/", "a\nb", "a?b#c&d", "%2e%2e/"])
def test_id_of_any_characters_stays_a_field(app, browser, word, start):
    one = start + word
    store_of(app).save(Result(id=one, state=State.SUCCESS, task=word))

    page = browser.get(LIST, {"q": word}).content.decode()
    link = html.unescape(re.search(r'<th><a href="([^"]+)">', page)[1])
    action, posted = re.search(
        r'action="([^"]+/storedresult/[^"]+)">.*name="id" value="([^"]+)"', page, re.DOTALL
    ).groups()

    assert action == f"{LIST}retry/"
    assert html.unescape(posted) == one
    assert browser.get(link).context["result"].id == one


@pytest.mark.parametrize("text", ["x", "²", "9" * 5_000])
def test_page_number_may_be_any_text(browser, text):
    assert browser.get(LIST, {"p": text}).status_code == 200


def test_nothing_can_be_added_or_deleted(browser):
    assert browser.get(f"{LIST}add/").status_code == 404
    assert "addlink" not in "".join(
        re.findall(r'(?s)<tr class="model-storedresult.*?</tr>', browser.get("/admin/").content.decode())
    )
