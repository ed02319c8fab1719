"""The command `reconcile` finishes abandoned uploads."""

import pytest
import redis

from resultstore.uploads.issuing import TicketIssuer
from resultstore.uploads.ticket import UploadSpec
from resultstore_tasks.offers import offers
from resultstore_tasks.samples import photos


@pytest.fixture
def broker_url(redis_url):
    """A database of its own: no worker of another test takes the task."""
    url = redis_url.rsplit("/", 1)[0] + "/13"
    yield url
    redis.Redis.from_url(url).delete("celery", "_kombu.binding.celery")


def test_reconcile_finishes_what_a_client_left(run, place, broker_url):
    # given an upload whose bytes have arrived, and whose client never said so
    store, photo = place.store(), photos()[0].content
    issuer = TicketIssuer(store, offers=offers)
    asked = UploadSpec(name="a.jpg", size_bytes=len(photo), media_type="image/jpeg", task="images.resize", options={})
    ticket, _ = issuer.begin(issuer.validate(asked), owner="ann")
    store.blobs.put(ticket.key, [photo], media_type="image/jpeg")

    first = run("reconcile", "--json", RESULTSTORE_BROKER_URL=broker_url)
    second = run("reconcile", RESULTSTORE_BROKER_URL=broker_url)

    assert first.code == 0, first.err
    assert first.told["completed"] >= 1
    assert store.load(ticket.id).state == "PENDING"
    assert second.out.startswith(b"completed 0 uploads")
