"""The contract of the task-queue backends: each test runs on a real worker of Celery, Dramatiq and taskiq."""

import hashlib
import urllib.request
import uuid

import pytest

from resultstore import Artifact, State
from resultstore.model import layout
from resultstore.model.errors import ResultDeleted
from resultstore.model.result import Result
from tests.backends.contract.conftest import Backend, eventually
from tests.backends.contract.uploads import uploaded

OWNER = "ann"


def is_gone(backend: Backend, task_id: str) -> bool:
    listed = task_id in list(backend.store.ids(owner=OWNER))
    return backend.store.load(task_id) is None and not listed and not has_blobs(backend, task_id)


def has_blobs(backend: Backend, task_id: str) -> bool:
    return any(key.startswith("blobs/") for key in backend.objects(task_id))


# Capture


def test_generator_becomes_an_artifact_with_a_url(backend: Backend):
    artifact = backend.run("generator", 20)

    with urllib.request.urlopen(backend.store.url(artifact)) as answer:
        content = answer.read()
    assert len(content) == artifact.size_bytes == 20 << 20
    assert hashlib.sha256(content).hexdigest() == artifact.sha256


def test_output_keeps_its_name_type_and_metadata(backend: Backend):
    artifact = backend.run("output")

    assert (artifact.name, artifact.media_type, artifact.metadata) == ("report.pdf", "application/pdf", {"pages": 3})
    with urllib.request.urlopen(backend.store.url(artifact)) as answer:
        assert answer.read() == b"%PDF-1.7 report"
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "report.pdf" in answer.headers["content-disposition"]


@pytest.mark.parametrize(("job", "content"), [("path", b"a,b\n1,2\n"), ("file", b"from a file")])
def test_file_and_path_are_captured(backend: Backend, job: str, content: bytes):
    assert backend.read(backend.run(job)) == content


def test_outputs_inside_containers_are_captured(backend: Backend):
    value = backend.run("container")

    assert value["count"] == 2
    assert [backend.read(artifact) for artifact in value["thumbs"]] == [b"1", b"22"]


def test_parts_are_bound_by_one_seal(backend: Backend):
    task_id = backend.send("parts")
    made = backend.value(task_id)

    found = backend.store.load(task_id)
    assert found.artifacts == tuple(made)
    assert found.sealed
    assert found.task.endswith("parts")
    assert found.worker
    assert [backend.read(artifact) for artifact in made] == [b"part 0", b"part 1", b"part 2"]
    assert len(backend.objects(task_id)) == 4


def test_artifact_travels_as_an_argument(backend: Backend):
    artifact = backend.run("output")

    assert isinstance(artifact, Artifact)
    assert backend.run("read", artifact) == "%PDF-1.7 report"


@pytest.mark.promise("adoption of an upload")
def test_upload_becomes_the_first_part(backend: Backend):
    source = uploaded(backend.store, b"upload", owner=OWNER)

    task_id = backend.send("read", source, id=source.id, owner=OWNER)

    assert backend.value(task_id) == "upload"
    assert [one.key for one in backend.store.load(task_id).artifacts] == [source.key]


# Plain values


@pytest.mark.parametrize("size_bytes", [10, 16_000, 17_000, 60_000, 3_000_000])
def test_plain_value_comes_back_whatever_its_size(backend: Backend, size_bytes: int):
    task_id = backend.send("text", size_bytes)

    assert backend.value(task_id) == "v" * size_bytes
    assert backend.value(task_id) == "v" * size_bytes
    assert backend.store.load(task_id).sealed == (size_bytes > backend.store.settings.results.inline_max_bytes)


def test_large_value_takes_little_space_in_redis(backend: Backend):
    task_id = backend.send("text", 3_000_000)
    backend.value(task_id)

    sizes = [backend.notes.memory_usage(key) for key in backend.notes.scan_iter(f"*{task_id}*")]
    assert sizes
    assert sum(sizes) < 2_000


@pytest.mark.promise("large arguments by reference")
def test_large_argument_travels_as_a_reference(backend: Backend):
    assert backend.run("length", "t" * 100_000) == 100_000
    assert any("/spill-" in stored.key for stored in backend.store.blobs.list("blobs/"))


# Owners


def test_owner_is_in_record_artifact_seal_and_list(backend: Backend):
    task_id = backend.send("output", owner=OWNER)
    artifact = backend.value(task_id)

    assert (backend.store.load(task_id).owner, artifact.owner) == (OWNER, OWNER)
    assert task_id in list(backend.store.ids(owner=OWNER))
    backend.store.index.delete(task_id)
    assert backend.store.load(task_id).owner == OWNER


@pytest.mark.parametrize(("named", "expected"), [("", OWNER), ("bob", "bob")], ids=["inherited", "named"])
def test_owner_is_inherited_unless_named(backend: Backend, named: str, expected: str):
    child = backend.run("sends", named, owner=OWNER)
    backend.value(child)

    assert backend.store.load(child).owner == expected


def test_task_without_an_owner_passes_none_on(backend: Backend):
    backend.run("sends", "", owner=OWNER)

    child = backend.run("sends", "")
    backend.value(child)

    assert backend.store.load(child).owner == ""


@pytest.mark.parametrize(("owner", "seen"), [(OWNER, "%PDF-1.7 report"), ("bob", "refused")])
def test_task_reads_artifacts_of_its_owner_only(backend: Backend, owner: str, seen: str):
    artifact = backend.run("output", owner=OWNER)

    assert backend.run("read", artifact, owner=owner) == seen


# Retention and expiry


def test_output_keeps_its_retention(backend: Backend):
    artifact = backend.run("output")

    assert artifact.retention == "7d"
    assert artifact.key.startswith("blobs/7d/")


def test_output_without_retention_gets_the_settings_class(backend: Backend):
    assert backend.run("different").retention == backend.store.settings.results.retention


def test_record_expires_in_time(backend: Backend):
    task_id = backend.send("add", 1, 1)
    backend.value(task_id)

    assert 0 < backend.notes.ttl(layout.record_key(task_id)) <= backend.expires_s


def test_sealed_result_outlives_its_record(backend: Backend):
    sealed, large, plain = backend.send("output"), backend.send("text", 50_000), backend.send("add", 1, 1)
    for task_id in (sealed, large, plain):
        backend.value(task_id)
        backend.notes.delete(*backend.notes.scan_iter(f"*{task_id}*"))

    assert backend.read(backend.value(sealed)) == b"%PDF-1.7 report"
    assert backend.value(large) == "v" * 50_000
    assert backend.store.load(plain) is None


# Runs


def test_progress_is_seen_while_the_task_runs(backend: Backend):
    held, gate = backend.hold()

    shown = eventually(lambda: (found := backend.store.peek(held)) and found.progress and found)

    assert shown.state == State.PROGRESS
    assert (shown.progress.percent, shown.progress.note) == (30, "three of ten")
    backend.release(gate)
    assert backend.value(held) == "value"


def test_queued_task_is_pending(backend: Backend):
    _, gate = backend.hold()
    task_id = backend.send("add", 1, 1, owner=OWNER)

    found = eventually(lambda: backend.store.index.peek(task_id))

    assert (found.state, found.owner) == (State.PENDING, OWNER)
    backend.release(gate)
    assert backend.value(task_id) == 2


def test_failure_names_the_input_and_leaves_no_blob(backend: Backend):
    task_id = backend.send("fails")

    with pytest.raises(Exception, match=r"cat\.jpg"):
        backend.value(task_id)

    found = backend.store.load(task_id)
    assert (found.state, found.failure.type, found.failure.module) == (
        State.FAILURE,
        "BadInput",
        "resultstore.model.errors",
    )
    assert "in fails" in found.traceback
    assert backend.objects(task_id) == []


def test_retried_task_keeps_its_owner(backend: Backend):
    task_id = backend.send("fails_once", uuid.uuid4().hex, owner=OWNER)

    assert backend.read(backend.value(task_id)) == b"run 2"
    found = backend.store.load(task_id)
    assert (found.retries, found.owner) == (1, OWNER)
    assert len(backend.objects(task_id)) == 2


def test_second_delivery_has_the_first_outcome(backend: Backend):
    task_id = backend.send("different")
    first = backend.value(task_id)

    backend.send("different", id=task_id)
    backend.drain()

    assert backend.value(task_id) == first
    assert len(backend.objects(task_id)) == 2, "one blob and one seal: the second run's blob is deleted"


@pytest.mark.promise("limit of lost runs")
def test_task_that_loses_its_workers_fails(backend: Backend):
    with pytest.raises(Exception, match=f"{backend.lost} was started 3 times"):
        backend.value(backend.lost)


# Deleted and cancelled tasks


@pytest.mark.promise("refusal of a deleted id at dispatch")
def test_deleted_id_is_refused_at_dispatch(backend: Backend):
    backend.store.save(Result(id=(task_id := uuid.uuid4().hex)))
    backend.store.delete(task_id)

    with pytest.raises(ResultDeleted, match="under a new id"):
        backend.send("add", 1, 1, id=task_id)


@pytest.mark.parametrize("end", ["delete", "cancel", "cancel and delete"])
def test_deleted_or_cancelled_task_is_not_begun(backend: Backend, end: str):
    _, gate = backend.hold()
    task_id = backend.send("counts", key := uuid.uuid4().hex, owner=OWNER, id=f"chosen-{key}")
    eventually(lambda: backend.store.load(task_id))

    if "cancel" in end:
        backend.store.save(backend.store.load(task_id).moved(State.REVOKED))
    if "delete" in end:
        backend.store.delete(task_id)
    backend.release(gate)
    backend.drain()

    assert backend.notes.get(key) is None
    assert is_gone(backend, task_id) if "delete" in end else backend.store.load(task_id).state == State.REVOKED


@pytest.mark.parametrize("outcome", ["value", "large value", "artifact", "failure"])
def test_task_deleted_while_it_runs_stays_deleted(backend: Backend, outcome: str):
    held, gate = backend.hold(outcome)

    backend.store.delete(held)
    backend.release(gate)
    backend.drain()

    assert is_gone(backend, held)


def test_deleted_result_is_gone(backend: Backend):
    task_id = backend.send("output", owner=OWNER)
    backend.value(task_id)

    backend.store.delete(task_id)

    assert is_gone(backend, task_id)


# What a backend lacks


def test_each_lacking_promise_is_one_of_the_contract(backend: Backend, request: pytest.FixtureRequest):
    marks = [mark for test in vars(request.module).values() for mark in getattr(test, "pytestmark", ())]
    assert backend.lacks.keys() <= {mark.args[0] for mark in marks if mark.name == "promise"}
