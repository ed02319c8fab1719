"""ResultPager by HTTP: pages, newest first, and only the caller's own Results."""

import pytest

from resultstore.gateway.results import pager
from resultstore.model.result import Result, State


def made(served, count, *, owner="local", state=State.SUCCESS, task="greet", start=0):
    for number in range(start, start + count):
        served.store.save(
            Result(id=f"{owner}-{number:03}", owner=owner, state=state, task=task, created_at=1_000_000.0 + number)
        )


def pages(served, **query):
    seen, cursor = [], ""
    while True:
        told = served.gateway.get("/v1/results", params=query | {"cursor": cursor}).json()
        seen.append([one["id"] for one in told["items"]])
        if told["next"] is None:
            return seen
        cursor = told["next"]


def together(seen):
    return [one for page in seen for one in page]


def test_every_result_comes_once_the_newest_first(served):
    made(served, 25)

    seen = pages(served, limit=10)

    assert [len(one) for one in seen] == [10, 10, 5]
    assert together(seen) == [f"local-{number:03}" for number in range(24, -1, -1)]


def test_changes_between_pages_neither_repeat_nor_hide_results(served):
    made(served, 10)
    first = served.gateway.get("/v1/results", params={"limit": 5}).json()

    made(served, 3, start=10)
    served.store.delete("local-005")
    rest = served.gateway.get("/v1/results", params={"limit": 10, "cursor": first["next"]}).json()

    assert [one["id"] for one in rest["items"]] == [f"local-{number:03}" for number in range(4, -1, -1)]


def test_filters_choose_and_go_on_over_pages(served):
    made(served, 10)
    made(served, 4, state=State.FAILURE, start=10)
    made(served, 3, task="shrink", start=20)

    assert together(pages(served, state="FAILURE", limit=3)) == [f"local-{n:03}" for n in (13, 12, 11, 10)]
    assert len(together(pages(served, task="shrink"))) == 3
    assert together(pages(served, q="AL-00")) == [f"local-{n:03}" for n in range(9, -1, -1)]


def test_admins_see_unowned_results_among_their_own(served):
    made(served, 2)
    served.store.save(Result(id="nobodys", state=State.STARTED, created_at=1_000_000.5))

    told = served.gateway.get("/v1/results").json()

    assert [one["id"] for one in told["items"]] == ["local-001", "nobodys", "local-000"]
    assert told["complete"] is True


def test_long_search_returns_short_page_with_cursor(served, monkeypatch):
    monkeypatch.setattr(pager, "READ_MAX", 5)
    made(served, 12)
    made(served, 1, task="shrink", start=100)

    assert together(pages(served, task="greet")) == [f"local-{n:03}" for n in range(11, -1, -1)]


SENSELESS = [{"limit": 0}, {"limit": 201}, {"limit": "x"}, {"cursor": "x"}, {"q": "x" * 201}]


@pytest.mark.parametrize("query", SENSELESS, ids=str)
def test_a_question_that_makes_no_sense_is_refused(served, query):
    answer = served.gateway.get("/v1/results", params=query)

    assert (answer.status_code, answer.json()["slug"]) == (422, "invalid-request")


def test_cursor_is_bound_to_owner_and_filters(served_with_tokens):
    served, token_of = served_with_tokens
    made(served, 5, owner="ann")
    made(served, 5, owner="bob")
    ann, bob = ({"Authorization": f"Bearer {token_of(owner, 'read')}"} for owner in ("ann", "bob"))
    cursor = served.gateway.get("/v1/results", params={"limit": 2}, headers=ann).json()["next"]

    def goes_on(headers, cursor, **query):
        return served.gateway.get("/v1/results", params=query | {"cursor": cursor}, headers=headers).status_code

    assert goes_on(ann, cursor) == 200
    assert goes_on(bob, cursor) == 422
    assert goes_on(ann, cursor, state="SUCCESS") == 422
    assert goes_on(ann, cursor[:-2] + "xx") == 422
    assert goes_on(ann, ("1" if cursor[0] == "0" else "0") + cursor[1:]) == 422
    assert goes_on(ann, "é" * 40) == 422


def test_listing_contains_only_own_results(served_with_tokens):
    served, token_of = served_with_tokens
    made(served, 3, owner="ann")
    served.store.save(Result(id="nobodys", state=State.STARTED))

    told = served.gateway.get("/v1/results", headers={"Authorization": f"Bearer {token_of('bob', 'read')}"}).json()

    assert told == {"items": [], "next": None, "complete": True}
