"""Uppy's uploads in one PUT: Uppy does not report their completion, so the gateway polls for them."""

import time
from itertools import pairwise

import httpx
import pytest

from resultstore.uploads.reconcile import POLL_S, is_poll_due
from resultstore.uploads.ticket import TicketStore

TENTH = 0.12  # one tenth, plus a tolerance for the poll interval
MOST_LOOKS = 250


@pytest.fixture
def query(photo) -> dict[str, str]:
    """Request parameters like AwsS3Multipart.getUploadParameters."""
    said = {"name": "china.jpg", "type": "image/jpeg", "task": "images.resize", "size_bytes": str(len(photo))}
    return {"filename": "china.jpg", "type": "image/jpeg"} | {f"metadata[{name}]": text for name, text in said.items()}


def sent(client: httpx.Client, query: dict[str, str], body: bytes) -> str:
    """Upload a file in one PUT and return its key."""
    asked = client.get("/s3/params", params=query)
    assert asked.status_code == 200, asked.text
    said = asked.json()
    assert said["method"] == "PUT"
    httpx.put(said["url"], content=body, headers=said["headers"]).raise_for_status()
    return said["fields"]["key"]


def test_single_put_is_found_at_next_poll(scene, reconciler, query, photo):
    key = sent(scene.ann, query, photo)
    before = scene.state(key)

    found = reconciler.poll_untracked()

    assert (before, found.completed) == ("UPLOADING", 1)
    assert (scene.state(key), scene.place.waiting()) == ("PENDING", 1)
    assert scene.place.store.load(key).owner == "ann"
    assert TicketStore(scene.place.store).unconfirmed_ids() == []


def test_serving_gateway_polls_for_single_puts(scene, reconciler, query, photo):
    key = sent(scene.ann, query, photo)

    with reconciler.run_in_background():
        end = time.monotonic() + 10 * POLL_S
        while scene.state(key) != "PENDING" and time.monotonic() < end:
            time.sleep(0.1)

    assert scene.state(key) == "PENDING"


def test_page_may_complete_a_single_put(scene, reconciler, query, photo):
    key = sent(scene.ann, query, photo)

    said = scene.ann.post(f"/v1/uploads/{key}/complete", json={})

    assert (said.status_code, said.json()["state"]) == (202, "PENDING")
    assert reconciler.poll_untracked().completed == 0
    assert scene.place.waiting() == 1


def test_polling_backs_off_over_time(scene, query, monkeypatch):
    # given a ticket of each age up to ten hours, at every poll of a gateway
    asked = scene.ann.get("/s3/params", params=query).json()["fields"]["key"]
    [ticket] = [TicketStore(scene.place.store).find(asked)]
    now = [ticket.created_at]
    monkeypatch.setattr(time, "time", lambda: now[0])
    looked = []
    while now[0] < ticket.created_at + 36_000:
        now[0] += POLL_S
        if is_poll_due(ticket):
            looked.append(now[0] - ticket.created_at)

    waits = [(later - earlier) / max(earlier, 30) for earlier, later in pairwise(looked)]
    assert looked[:3] == [POLL_S, 2 * POLL_S, 3 * POLL_S]
    assert max(waits) < TENTH, "it waits for little more than a tenth of the time that it took"
    assert len(looked) < MOST_LOOKS


def test_only_declared_bytes_are_accepted(scene, query, photo):
    said = scene.ann.get("/s3/params", params=query).json()
    headers = said["headers"]

    longer = httpx.put(said["url"], content=photo + b"x", headers=headers)
    as_html = httpx.put(said["url"], content=photo, headers={**headers, "content-type": "text/html"})
    bare = httpx.put(said["url"], content=photo, headers={"content-type": "image/jpeg"})
    whole = httpx.put(said["url"], content=photo, headers=headers)
    again = httpx.put(said["url"], content=photo, headers=headers)

    assert all(one.status_code in {400, 403} for one in (longer, as_html, bare))
    assert (whole.status_code, again.status_code) == (200, 412)


def test_ticket_needs_token_and_right_request(scene, query):
    none = scene.anonymous.get("/s3/params", params=query)
    form = scene.ann.get("/s3/params", params=query, headers={"Accept": "*/*"})
    link = scene.ann.get(
        "/s3/params", params=query, headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    )
    without = {name: text for name, text in query.items() if name != "metadata[task]"}
    taskless = scene.ann.get("/s3/params", params=without)

    assert [one.status_code for one in (none, form, link, taskless)] == [401, 422, 403, 422]
    assert "task: Field required" in taskless.json()["message"]
    assert list(scene.place.store.ids(owner="ann")) == []
