"""Workflows: one call removes all results of one root task."""

import time
import uuid

import boto3
import pytest
import redis
from botocore.config import Config
from celery import Celery, chain, group, states
from celery.app.task import Context

from resultstore.backends.celery import forget_workflow
from resultstore.model import layout
from resultstore.model.errors import ResultMissing
from tests.backends.celery.conftest import Made


@pytest.mark.usefixtures("worker")
class TestWithAWorker:
    def test_every_result_and_blob_of_a_workflow_goes(self, app: Celery, environment: dict[str, str]):
        task = app.tasks
        workflow = chain(
            task["worker_app.stream"].s(1),
            task["worker_app.size_of"].s(),
            group(task["worker_app.add"].s(1), task["worker_app.add"].s(2)),
            task["worker_app.total"].s(),
            task["worker_app.add"].s(3),
        )
        last = workflow.apply_async()
        assert last.get(timeout=30) == 2 * (1 << 20) + 6
        root_id, ids = root_of(last), list(ids_of(last))
        group_id = last.parent.parent.id
        other = task["worker_app.large_value"].delay(100_000)
        other.get(timeout=30)

        report = forget_workflow(app, root_id)

        assert set(report.results) == set(ids)
        assert len(ids) == 6
        assert (report.artifacts, report.artifact_bytes, report.unfinished) == (1, 1 << 20, ())
        assert group_id in report.groups
        assert {app.AsyncResult(one).state for one in ids} == {states.PENDING}
        assert [key for one in ids for key in blobs_of(one, environment)] == []
        assert len(blobs_of(other.id, environment)) == 1
        assert app.AsyncResult(other.id).get() == "v" * 100_000
        assert app.backend.client.exists(layout.workflow_key(root_id)) == 0


def root_of(result) -> str:
    while result.parent is not None:
        result = result.parent
    return result.id


def ids_of(result):
    """Of the chain that ends with this result."""
    while result is not None:
        yield from [one.id for one in result.results] if hasattr(result, "results") else [result.id]
        result = result.parent


def blobs_of(task_id: str, environment: dict[str, str]) -> list[str]:
    bucket, _, root = environment["RESULTSTORE_BLOBS_URL"].removeprefix("s3://").partition("/")
    client = boto3.client(
        "s3",
        endpoint_url=environment["RESULTSTORE_S3_ENDPOINT"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    return [
        found["Key"]
        for prefix in layout.content_prefixes(task_id)
        for found in client.list_objects_v2(Bucket=bucket, Prefix=f"{root}/{prefix}").get("Contents", ())
    ]


def test_children_are_followed_where_notes_were_lost(client: Celery):
    root, child, member, group_id = (uuid.uuid4().hex for _ in range(4))
    children = [client.AsyncResult(child), client.GroupResult(group_id, [client.AsyncResult(member)])]
    client.backend.mark_as_done(root, 1, request=Context(id=root, _children=children))
    client.backend.mark_as_done(child, 1, request=Context(id=child))
    client.backend.store_result(member, None, states.STARTED)

    report = forget_workflow(client, root)

    assert set(report.results) == {root, child, member}
    assert (report.unfinished, report.groups) == ((member,), (group_id,))
    assert {client.AsyncResult(one).state for one in (root, child, member)} == {states.PENDING}
    with pytest.raises(ResultMissing, match="no workflow is known under"):
        forget_workflow(client, root)


def members_of(client: Celery, *children: str) -> tuple[str, str]:
    """Two tasks that have ended; the first one has sent these children."""
    ids = uuid.uuid4().hex, uuid.uuid4().hex
    sent = [client.AsyncResult(one) for one in children]
    client.backend.mark_as_done(ids[0], 1, request=Context(id=ids[0], _children=sent))
    client.backend.mark_as_done(ids[1], 1, request=Context(id=ids[1]))
    return ids


@pytest.mark.parametrize("by", ["object", "saved id"])
def test_group_is_forgotten_by_object_or_id(client: Celery, by: str):
    other, group_id = members_of(client), uuid.uuid4().hex
    grandchild, _ = members_of(client)
    ids = members_of(client, grandchild)
    found = client.GroupResult(group_id, [client.AsyncResult(one) for one in ids])
    if by == "saved id":
        found.save()

    report = forget_workflow(client, found if by == "object" else group_id)

    assert set(report.results) == {*ids, grandchild}
    assert (report.root_id, report.groups) == (group_id, (group_id,))
    assert {client.AsyncResult(one).state for one in (*ids, grandchild)} == {states.PENDING}
    assert {client.AsyncResult(one).state for one in other} == {states.SUCCESS}
    assert client.GroupResult.restore(group_id) is None


def test_running_chord_is_forgotten_by_its_group_id(client: Celery):
    ids, group_id = members_of(client), uuid.uuid4().hex
    header = client.GroupResult(group_id, [client.AsyncResult(one) for one in ids])
    client.backend.groups.chords.reset(group_id, list(ids))
    client.backend.set_chord_size(group_id, 3)

    report = forget_workflow(client, group_id)

    assert set(report.results) == set(ids)
    assert report.groups == (header.id,)
    with pytest.raises(ResultMissing):
        forget_workflow(client, group_id)


@pytest.mark.parametrize("given", ["unknown", uuid.uuid4()])
def test_unknown_workflow_is_an_error(client: Celery, given: object):
    with pytest.raises(ResultMissing, match="pass the GroupResult"):
        forget_workflow(client, given)


def test_single_task_notes_nothing_and_notes_expire(made: Made, raw: redis.Redis):
    client = made(result_expires=600)
    alone, sent = uuid.uuid4().hex, uuid.uuid4().hex
    for task_id, root_id in ((alone, alone), (sent, "root")):
        client.send_task("any", task_id=task_id, root_id=root_id)
    end = time.monotonic() + 5
    while not raw.scard(layout.workflow_key("root")):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert raw.smembers(layout.workflow_key("root")) == {sent.encode()}
    assert 500 < raw.ttl(layout.workflow_key("root")) <= 600
    assert raw.exists(layout.workflow_key(alone)) == 0
