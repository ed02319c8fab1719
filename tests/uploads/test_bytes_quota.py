"""Stored-bytes quota: limits what an owner stores, whatever is started, deleted, rejected or sent again."""

import dataclasses
from typing import Final

import pytest

from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.index.claims import release_claim
from resultstore.model import layout
from resultstore.model.errors import BadInput, BlobStoreUnavailable, IndexUnavailable
from resultstore.model.result import Failure, State
from resultstore.store.attempt import Attempt
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.reconcile import Reconciler
from resultstore.uploads.rejection import delete_rejected
from resultstore.uploads.ticket import TicketStore
from tests.uploads.conftest import once, send, serving

OWNER = "local"
PAGE = b"<!doctype html><script>alert(1)</script>".ljust(1000)


@pytest.fixture
def narrow(settings, photo):
    """A gateway where an owner may store two photos and a half."""
    with serving(dataclasses.replace(settings, quota_stored_bytes=len(photo) * 5 // 2)) as place:
        yield place


def begun(place, body: bytes) -> dict | None:
    asked = {"name": "a.jpg", "media_type": "image/jpeg", "task": "images.resize", "size_bytes": len(body)}
    answer = place.gateway.post("/v1/uploads", json=asked)
    assert answer.status_code in {201, 429}, answer.text
    return answer.json() if answer.is_success else None


def counted(place) -> int:
    return Quotas(place.store.index, place.store.settings, counting=place.store.byte_counter).stored_bytes(OWNER)


def stored(place) -> int:
    return sum(one.size_bytes for one in place.store.blobs.list("uploads/"))


def urls_end(place) -> None:
    """The URLs of all that was deleted have ended, and the reconciler comes by."""
    index, key = place.store.index, place.store.index._names.prefix + layout.LATE_UPLOADS_KEY
    for name in index.client.zrange(key, 0, -1):
        index.client.zadd(key, {name: 0})
    Reconciler(place.store, UploadCompleter(place.store, dispatcher=place.dispatcher)).run()


def begin_and_delete(place, photo: bytes) -> bool:
    """Begin, DELETE, and PUT by the URL that still works; whether a ticket was given."""
    ticket = begun(place, photo)
    if ticket is None:
        return False
    assert place.gateway.delete(f"/v1/uploads/{ticket['id']}").status_code == 204
    assert place.gateway.get(f"/v1/uploads/{ticket['id']}").status_code == 404
    assert send(ticket, photo).is_success
    return True


def refuse_and_send_again(place, photo: bytes) -> bool:
    ticket = begun(place, PAGE.ljust(len(photo)))
    if ticket is None:
        return False
    send(ticket, PAGE.ljust(len(photo))).raise_for_status()
    place.complete(ticket).raise_for_status()
    assert place.gateway.get(f"/v1/results/{ticket['id']}").json()["failure"]["type"] == "UploadRejected"
    assert send(ticket, photo).is_success
    return True


def reject_in_the_worker_and_send_again(place, photo: bytes) -> bool:
    ticket = begun(place, photo)
    if ticket is None:
        return False
    send(ticket, photo).raise_for_status()
    place.complete(ticket).raise_for_status()
    attempt = Attempt(ticket["id"], owner=OWNER)
    place.store.adopt(place.store.load(ticket["id"]).artifact("input"), attempt)
    reason = delete_rejected(place.store, attempt, BadInput("too many pixels"))
    place.store.save(attempt.result().moved(State.FAILURE, failure=Failure(type(reason).__name__, str(reason))))
    assert send(ticket, photo).is_success
    return True


def delete_the_result_and_send_again(place, photo: bytes) -> bool:
    ticket = begun(place, photo)
    if ticket is None:
        return False
    send(ticket, photo).raise_for_status()
    place.complete(ticket).raise_for_status()
    attempt = Attempt(ticket["id"], owner=OWNER)
    place.store.adopt(place.store.load(ticket["id"]).artifact("input"), attempt)
    place.store.save(place.store.seal(attempt))
    assert place.gateway.delete(f"/v1/results/{ticket['id']}").status_code == 204
    assert send(ticket, photo).is_success
    return True


WAYS = [
    begin_and_delete,
    refuse_and_send_again,
    reject_in_the_worker_and_send_again,
    delete_the_result_and_send_again,
]


@pytest.mark.parametrize("way", WAYS)
def test_live_url_cannot_exceed_the_quota(narrow, photo, way):
    given = [way(narrow, photo) for _ in range(4)]

    assert given == [True, True, False, False]
    assert stored(narrow) == counted(narrow) == 2 * len(photo)
    urls_end(narrow)
    assert stored(narrow) == counted(narrow) == 0
    assert begun(narrow, photo) is not None


def test_what_is_used_stays_when_its_url_ends(narrow, photo):
    ticket = begun(narrow, photo)
    send(ticket, photo).raise_for_status()
    narrow.complete(ticket).raise_for_status()
    narrow.store.byte_counter.late_uploads.add(ticket["id"], after_s=0)

    urls_end(narrow)

    assert stored(narrow) == counted(narrow) == len(photo)
    assert narrow.store.load(ticket["id"]).state == "PENDING"


@once
def test_bytes_whose_deletion_failed_count_and_go_later(narrow, photo, monkeypatch):
    ticket = begun(narrow, photo)
    send(ticket, photo).raise_for_status()

    def refused(_keys):
        raise BlobStoreUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(narrow.store.blobs, "delete", refused)
        assert narrow.gateway.delete(f"/v1/uploads/{ticket['id']}").status_code == 204

    assert stored(narrow) == counted(narrow) == len(photo)
    urls_end(narrow)
    assert stored(narrow) == counted(narrow) == 0


@once
def test_abandoned_parts_free_their_quota(settings):
    size = 17 << 20
    with serving(dataclasses.replace(settings, quota_stored_bytes=size)) as place:
        asked = {"name": "t.csv", "media_type": "text/csv", "task": "tables.convert", "size_bytes": size}
        for _ in range(3):
            ticket = place.ticket(**asked)
            assert place.gateway.post("/v1/uploads", json=asked | {"options": {}}).status_code == 429
            assert place.gateway.delete(f"/v1/uploads/{ticket['id']}").status_code == 204
        assert counted(place) == 0


@once
def test_upload_under_completion_cannot_be_abandoned(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)
    place.store.index.keys.claim(layout.claim_key(ticket["id"]), "another gateway", ttl_s=60)

    refused = place.gateway.delete(f"/v1/uploads/{ticket['id']}")

    assert (refused.status_code, refused.json()["slug"]) == (409, "upload-over")
    release_claim(place.store.index.keys, layout.claim_key(ticket["id"]), "another gateway")
    assert place.complete(ticket).json()["state"] == "PENDING"


@once
def test_claim_taken_by_another_is_left_alone(place):
    index, key = place.store.index, layout.claim_key("x")
    index.keys.claim(key, "another", ttl_s=60)

    release_claim(index.keys, key, "me")

    assert not index.keys.claim(key, "me", ttl_s=60)


class Failing:
    """Lets the nth call of the index fail, before or after it was carried out."""

    STEPS: Final = {
        "keys": ("run_script", "keep", "read", "drop", "claim"),
        "owners": ("remove_deleted",),
        "": ("save", "load", "delete"),
    }

    def __init__(self, index, patch, *, nth: int, after: bool) -> None:
        self.left, self.fired = nth, False
        for group, names in self.STEPS.items():
            part = getattr(index, group) if group else index
            for name in names:
                patch.setattr(part, name, self._wrapped(getattr(part, name), after=after))

    def _wrapped(self, whole, *, after: bool):
        def step(*args, **options):
            self.left -= 1
            if self.left or self.fired:
                return whole(*args, **options)
            self.fired = True
            if after:
                whole(*args, **options)
            raise IndexUnavailable("no answer")

        return step


@once
@pytest.mark.parametrize("after", [False, True])
def test_refused_ticket_takes_no_quota(place, photo, monkeypatch, after):
    asked = {"name": "a.jpg", "media_type": "image/jpeg", "task": "images.resize", "size_bytes": len(photo)}
    quotas = Quotas(place.store.index, place.store.settings, counting=place.store.byte_counter)
    quotas.stored_bytes(OWNER)
    failures = 0
    for nth in range(1, 100):
        with monkeypatch.context() as patch:
            failing = Failing(place.store.index, patch, nth=nth, after=after)
            answer = place.gateway.post("/v1/uploads", json=asked, headers={"Idempotency-Key": f"key-{nth}"})
        if not failing.fired:
            break
        failures += 1
        if answer.status_code == 503:
            assert counted(place) == 0, f"step {nth}"
            assert quotas._leases.members(layout.quota_key(OWNER, QuotaKind.TICKETS)) == {}, f"step {nth}"
            assert TicketStore(place.store).open_ids() == [], f"step {nth}"
            assert list(place.store.ids(owner=OWNER)) == [], f"step {nth}"
        else:
            assert place.gateway.delete(f"/v1/uploads/{answer.json()['id']}").status_code == 204
            urls_end(place)

    assert failures >= 7
    assert answer.status_code == 201
    assert counted(place) == len(photo)
