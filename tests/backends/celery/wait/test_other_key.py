"""Another secret key in the client: a waiter gets the reason at once, with the remedy first."""

import uuid

import pytest
from celery import Celery

from resultstore import SealUnreadable, State, connect
from resultstore.settings import Settings


def _keys(folder, key: str) -> Settings:
    return Settings(index_url="memory://", blobs_url=(folder / "blobs").as_uri(), secret_key=key)


def test_waiter_with_another_key_gets_the_reason(tmp_path, caplog):
    connect(_keys(tmp_path, "k" * 32)).put(b"a file", id="job")
    url = (tmp_path / "blobs").as_uri()
    client = Celery("client", broker="memory://", backend=f"resultstore+memory://?blobs={url}", set_as_current=False)
    client.conf.resultstore_secret_key = "x" * 32

    with pytest.raises(SealUnreadable, match=r"digest: give all processes the same RESULTSTORE_SECRET_KEY"):
        client.AsyncResult("job").get(timeout=20)

    assert [one.event for one in caplog.records if one.name.startswith("resultstore")].count("seal_not_read") == 1


def test_other_ids_are_answered_beside_it(tmp_path):
    connect(_keys(tmp_path, "k" * 32)).put(b"a file", id="job")
    stranger = connect(_keys(tmp_path, "x" * 32))
    stranger.put(b"another", id="mine")

    refused, mine, unknown = stranger.load_many(["job", "mine", "unknown"])

    assert (refused.state, refused.failure.type) == (State.FAILURE, "SealUnreadable")
    assert mine.state == State.SUCCESS
    assert unknown is None


def test_record_of_another_key_ends_the_wait(tmp_path, redis_url):
    job = uuid.uuid4().hex
    url = (tmp_path / "blobs").as_uri()
    connect(Settings(index_url=redis_url, blobs_url=url, secret_key="k" * 32)).put(b"a file", id=job)
    query = "&" if "?" in redis_url else "?"
    backend = f"resultstore+{redis_url}{query}blobs={url}"
    client = Celery("client", broker="memory://", backend=backend, set_as_current=False)
    client.conf.resultstore_secret_key = "x" * 32

    with pytest.raises(SealUnreadable, match="RESULTSTORE_SECRET_KEY"):
        client.AsyncResult(job).get(timeout=20)
