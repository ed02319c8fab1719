"""Stored Results keep their positions on their owner's list after their records have expired."""

import pytest

from resultstore.model.result import Result, State
from resultstore.ops.owner_lists import rebuild, rebuild_in_background
from resultstore.store.attempt import Attempt, running
from tests.gateway.results.test_pager import pages, together


def seal(served, result_id: str, *, owner: str = "local") -> None:
    attempt = Attempt(result_id, owner=owner)
    served.store.save(Result(id=result_id, owner=owner, created_at=1_000_000.0 + int(result_id[-2:])))
    with running(attempt):
        served.store.put(b"content", name="out.txt")
    served.store.save(served.store.seal(attempt))


@pytest.fixture
def sealed(served):
    """Store 25 sealed Results of a caller whose list is known to be complete."""
    assert served.gateway.get("/v1/results").json()["complete"] is True
    for number in range(25):
        seal(served, f"job-{number:02}")
    return served


def expire_records(served) -> None:
    for number in range(25):
        served.store.index.delete(f"job-{number:02}")


NEWEST_FIRST = [f"job-{number:02}" for number in range(24, -1, -1)]


def test_all_are_listed_when_their_records_have_expired(sealed):
    expire_records(sealed)

    told = sealed.gateway.get("/v1/results", params={"limit": 50}).json()

    assert [one["id"] for one in told["items"]] == NEWEST_FIRST
    assert {one["state"] for one in told["items"]} == {"SUCCESS"}
    assert told["complete"] is True


def test_pages_continue_after_records_expire(sealed):
    first = sealed.gateway.get("/v1/results", params={"limit": 10}).json()

    expire_records(sealed)
    rest = sealed.gateway.get("/v1/results", params={"limit": 50, "cursor": first["next"]}).json()

    assert [one["id"] for one in (*first["items"], *rest["items"])] == NEWEST_FIRST


def test_pages_come_in_one_order_over_expired_records(sealed):
    expire_records(sealed)

    assert together(pages(sealed, limit=4)) == NEWEST_FIRST


def test_a_deleted_one_is_listed_no_more(sealed):
    expire_records(sealed)

    assert sealed.gateway.delete("/v1/results/job-07").status_code == 204

    assert "job-07" not in together(pages(sealed, limit=10))
    assert sealed.gateway.get("/v1/results").json()["complete"] is True


def test_listing_is_incomplete_until_lists_are_rebuilt(sealed):
    sealed.store.index.__init__()

    lost = sealed.gateway.get("/v1/results").json()
    rebuild(sealed.store)
    again = sealed.gateway.get("/v1/results", params={"limit": 50}).json()

    assert (lost["items"], lost["complete"]) == ([], False)
    assert {one["id"] for one in again["items"]} == set(NEWEST_FIRST)
    assert again["complete"] is True


def test_a_gateway_rebuilds_lost_lists_by_itself(sealed):
    sealed.store.index.__init__()
    done = []
    enlist = sealed.store.owner_lister.mark_complete
    sealed.store.owner_lister.mark_complete = lambda: (enlist(), done.append(1))

    with rebuild_in_background(sealed.store):
        for _ in range(1_000):
            if done:
                break
            sealed.gateway.get("/livez")

    assert done == [1]
    assert len(sealed.gateway.get("/v1/results", params={"limit": 50}).json()["items"]) == 25


def test_the_snapshot_of_a_stream_has_them_too(sealed):
    expire_records(sealed)

    with sealed.gateway.stream("GET", "/v1/events") as stream:
        begun = ""
        for text in stream.iter_text():
            begun += text
            if "\n\n" in begun:
                break

    assert all(f'"{one}"' in begun for one in NEWEST_FIRST)
    assert '"complete":true' in begun.replace(" ", "")


def test_unsealed_result_leaves_list_with_its_record(sealed):
    sealed.store.save(Result(id="small", owner="local", state=State.SUCCESS, value=b"1"))
    sealed.store.index.delete("small")

    assert "small" not in together(pages(sealed, limit=10))
    assert sealed.gateway.get("/v1/results").json()["complete"] is True
