"""The reconciler: what clients leave half done is finished, or collected, and never done twice."""

import dataclasses
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from resultstore.backends.celery.dispatching import CeleryDispatcher
from resultstore.backends.celery.worker import bucket_events
from resultstore.model import layout
from resultstore.model.errors import BrokerUnavailable
from resultstore.testing.promises import MIB
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.reconcile import Reconciler
from resultstore.uploads.ticket import TicketStore
from resultstore_tasks.app import make_app
from tests.uploads.conftest import once, send, send_parts

DAY_S = 86_400


@pytest.fixture
def completion(place) -> UploadCompleter:
    return UploadCompleter(place.store, dispatcher=place.dispatcher)


@pytest.fixture
def reconciler(place, completion) -> Reconciler:
    return Reconciler(place.store, completion)


def aged(place, ticket: dict, seconds: float) -> None:
    """Let a ticket have been given out so long ago."""
    tickets = TicketStore(place.store)
    kept = tickets.find(ticket["id"])
    tickets.save(msgspec.structs.replace(kept, created_at=kept.created_at - seconds))


def test_vanished_client_still_gets_its_task(place, reconciler, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)

    first, second = reconciler.run(), reconciler.run()

    assert (first.completed, second.completed) == (1, 0)
    assert place.complete(ticket).json()["state"] == "PENDING"
    assert place.waiting() == 1


def test_parts_are_joined_for_a_vanished_client(place, reconciler):
    body = (b"a,b\n" + b"1,2\n" * (5 * MIB))[: 17 * MIB]
    ticket = place.ticket(name="t.csv", media_type="text/csv", task="tables.convert", size_bytes=len(body))
    send_parts(ticket, body)

    assert reconciler.run().completed == 1
    assert place.waiting() == 1


@once
def test_concurrent_completions_start_one_task(place, completion, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)
    event = bucket_events._UploadFinisher(place.app)
    ways = [
        lambda: place.complete(ticket),
        lambda: event.finish(ticket["id"]),
        lambda: Reconciler(place.store, completion).run(),
    ]

    with ThreadPoolExecutor(9) as at_once:
        for done in [at_once.submit(way) for way in ways * 3]:
            done.result(60)

    assert place.waiting() == 1
    for way in ways:  # and afterwards
        way()
    assert place.waiting() == 1
    assert TicketStore(place.store).open_ids() == []


def test_missing_upload_is_abandoned_after_a_day(place, reconciler, photo):
    single = place.ticket(size_bytes=len(photo))
    size = 17 * MIB
    parts = place.ticket(name="t.csv", media_type="text/csv", task="tables.convert", size_bytes=size)
    send_parts(parts, b"1,2\n" * (size // 4), {1})
    kept = TicketStore(place.store).find(parts["id"])

    early = reconciler.run()
    for one in (single, parts):
        aged(place, one, DAY_S)
    late = reconciler.run()

    assert (early.given_up, late.given_up) == (0, 2)
    for one in (single, parts):
        assert place.gateway.get(f"/v1/results/{one['id']}").status_code == 404
        assert place.complete(one).status_code == 404
    assert _is_over(place, kept)
    assert TicketStore(place.store).open_ids() == []
    assert place.waiting() == 0


def _is_over(place, kept) -> bool:
    last = place.store.signer.sign_part(kept.key, expires_in_s=60, upload_id=kept.upload_id, number=3, size_bytes=MIB)
    return httpx.put(last.url, content=bytes(MIB), headers=last.headers).status_code == 404


@once
def test_gateway_death_before_dispatch_is_recovered(place, reconciler, photo):
    # given a claim whose holder is gone
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)
    place.store.index.keys.claim(layout.claim_key(ticket["id"]), "a gateway that was killed", ttl_s=1)

    met = place.complete(ticket)
    sent_at_once = place.waiting()
    end = time.monotonic() + 10
    while not place.waiting() and time.monotonic() < end:
        reconciler.run()
        time.sleep(0.1)

    assert (met.status_code, met.json()["state"], sent_at_once) == (202, "UPLOADING", 0)
    assert place.waiting() == 1


@once
def test_broker_outage_only_delays(place, settings, completion, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)
    away = make_app(dataclasses.replace(settings, broker_url="amqp://guest:guest@127.0.0.1:1//"))
    kept = TicketStore(place.store).find(ticket["id"])

    with pytest.raises(BrokerUnavailable):
        UploadCompleter(place.store, dispatcher=CeleryDispatcher(away)).complete(kept)
    between = place.store.load(ticket["id"]).state
    completion.complete(kept)

    assert between == "VERIFYING"
    assert place.waiting() == 1


@once
def test_one_gateway_of_many_looks_in_a_minute(place, completion, photo):
    ticket = place.ticket(size_bytes=len(photo))
    first, second = (Reconciler(place.store, completion) for _ in range(2))
    first.round()
    send(ticket, photo)

    assert second.round().completed == 0
    assert place.waiting() == 0


def test_interrupted_rejection_still_deletes_the_bytes(place, reconciler):
    page = b"<!doctype html><script>alert(1)</script>".ljust(200)
    ticket = place.ticket(size_bytes=len(page))
    send(ticket, page)

    reconciler.run()

    assert place.gateway.get(f"/v1/results/{ticket['id']}").json()["failure"]["type"] == "UploadRejected"
    assert list(place.store.blobs.list("uploads/")) == []


@once
def test_orphaned_bytes_are_collected_after_a_week(place, reconciler, settings, photo):
    # given one blob that came by the URL of an upload that was given up, and one whose task waits
    root = Path(urlsplit(settings.blobs.url).path)
    given_up, waiting = place.ticket(size_bytes=len(photo)), place.ticket(size_bytes=len(photo))
    place.gateway.delete(f"/v1/uploads/{given_up['id']}")
    send(given_up, photo)
    send(waiting, photo)
    place.complete(waiting)
    kept = place.store.load(waiting["id"]).artifact("input").key

    young = reconciler.run()
    for path in root.glob("uploads/**/*"):
        os.utime(path, (time.time() - 8 * DAY_S,) * 2)
    old = reconciler.run()

    assert (young.orphans, old.orphans) == (0, 1)
    assert [one.key for one in place.store.blobs.list("uploads/")] == [kept]
