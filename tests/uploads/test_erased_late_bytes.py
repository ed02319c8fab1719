"""Erasing an owner whose upload URL still works: bytes that arrive by it are deleted after the URL has expired."""

from resultstore.model import layout
from resultstore.ops.owner_lists import erase
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.reconcile import Reconciler
from resultstore.uploads.ticket import GRACE_S
from tests.uploads.conftest import send


def test_bytes_after_erasure_go_when_due(place, photo):
    ticket, index, blobs = place.ticket(size_bytes=len(photo)), place.store.index, place.store.blobs
    erase(place.store, "local")
    assert send(ticket, photo).is_success
    reconciler = Reconciler(place.store, UploadCompleter(place.store, dispatcher=place.dispatcher))
    key = index._names.prefix + layout.LATE_UPLOADS_KEY

    reconciler.run()
    assert len(list(blobs.list("uploads/"))) == 1, "its URL can still write it again"
    wait_s = index.client.zscore(key, ticket["id"]) - index.client.time()[0]
    life_s = place.store.settings.uploads.url_expires_s
    assert life_s < wait_s <= life_s + GRACE_S

    index.client.zadd(key, {ticket["id"]: 0})
    reconciler.run()
    assert list(blobs.list("uploads/")) == []
    assert index.client.zscore(key, ticket["id"]) is None
