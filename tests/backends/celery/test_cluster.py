"""Redis Cluster: ids, groups and chords whose keys are on different nodes."""

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
import redis
from celery import Celery, states

from resultstore.backends.celery import forget_workflow
from resultstore.backends.celery.chord.header import ChordStage, read_header
from resultstore.model import layout
from resultstore.model.errors import BadReference
from tests.backends.celery.chord.test_chords import Body, part_ended
from tests.backends.celery.waiters import WOKEN_S, hear_announcements_only
from tests.rediscluster import redis_cluster


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture
def client(cluster_url: str) -> Celery:
    first, *others = cluster_url.removeprefix("redis-cluster://").split(",")
    backend = ";".join([f"resultstore+redis-cluster://{first}", *(f"redis-cluster://{one}" for one in others)])
    app = Celery("client", broker="memory://", backend=backend, set_as_current=False)
    app.conf.result_backend_transport_options = {"global_keyprefix": "tenant"}
    return app


def test_results_of_many_nodes_come_together(client: Celery):
    ids = [uuid.uuid4().hex for _ in range(60)]
    nodes = {client.backend.client.get_node_from_key(layout.record_key(one)).name for one in ids}
    for number, one in enumerate(ids):
        client.backend.mark_as_done(one, str(number) * 200)
    assert len(nodes) == 3
    assert {meta["status"] for _, meta in client.backend.get_many(ids, timeout=5)} == {states.SUCCESS}
    group = client.GroupResult(uuid.uuid4().hex, [client.AsyncResult(one) for one in ids])
    assert group.get(timeout=5) == [str(number) * 200 for number in range(60)]


def test_one_connection_wakes_waiters_of_all_nodes(client: Celery, monkeypatch: pytest.MonkeyPatch):
    hear_announcements_only(monkeypatch)
    ids = [uuid.uuid4().hex for _ in range(12)]
    client.backend.store_result(ids[0], None, states.STARTED)  # the node's connections are open
    worker = threading.Timer(0.5, lambda: [client.backend.mark_as_done(one, one) for one in ids])
    worker.start()
    assert client.GroupResult("g", [client.AsyncResult(one) for one in ids]).get(timeout=WOKEN_S) == ids


def test_a_chord_is_counted_listed_and_sent_again(client: Celery, monkeypatch: pytest.MonkeyPatch):
    body, group_id, chords = Body(client), uuid.uuid4().hex, client.backend.groups.chords
    client.backend.set_chord_size(group_id, 2)
    part_ended(client, group_id, body, 0, "a" * 5_000)
    with monkeypatch.context() as killed:
        killed.setattr(type(chords), "_finish", lambda *_: None)
        part_ended(client, group_id, body, 1, "b")
    assert read_header(client.backend, group_id).stage is ChordStage.FINISHING
    keys = [f"tenant_{layout.group_key(group_id, '.c')}", f"tenant_{chords.outbox.key}"]
    client.backend.client.delete(keys[0])
    client.backend.client.zadd(keys[1], {group_id: 0})
    chords.publish_due()
    assert body.sent == [["a" * 5_000, "b"]]
    assert client.backend.client.zcard(keys[1]) == 0


def test_hints_and_notes_find_their_node(client: Celery):
    roots = [uuid.uuid4().hex for _ in range(6)]
    sent = [client.send_task("any", root_id=root).id for root in roots]
    index, end = client.backend.store.index, time.monotonic() + 5
    while [index.unconfirmed.read_notes(layout.workflow_key(root)) for root in roots] != [{one} for one in sent]:
        assert time.monotonic() < end
        time.sleep(0.01)
    for one in sent:
        client.backend.mark_as_done(one, 1)
    assert [forget_workflow(client, root).results for root in roots] == [(one,) for one in sent]
    assert {client.AsyncResult(one).state for one in sent} == {states.PENDING}


def test_absent_cluster_is_named_without_its_password():
    app = Celery("c", broker="memory://", backend="resultstore+redis-cluster://u:Secr3t@127.0.0.1:1;b:2")
    assert "Secr3t" not in app.backend.as_uri()
    with pytest.raises(Exception, match=r"the cluster of 127\.0\.0\.1:1") as error:
        app.backend.store.index.peek("one")
    assert "Secr3t" not in str(error.value)
    assert isinstance(error.value.__cause__, redis.ConnectionError)


def test_id_without_a_slot_fails_alone(client: Celery):
    with pytest.raises(BadReference):
        client.AsyncResult("}x").get(timeout=5)
    client.backend.store_result("of-another", "fine", states.SUCCESS)
    assert client.AsyncResult("of-another").get(timeout=30) == "fine"
