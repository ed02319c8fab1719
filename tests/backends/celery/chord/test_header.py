"""Header: a chord that waits can be looked at, and its body sent by hand."""

import json
import os
import subprocess
import sys
import uuid

import pytest
import redis
from celery import Celery, chord

from resultstore.backends.celery.chord.header import ChordStage, read_header
from resultstore.model.errors import ResultMissing
from tests.backends.celery.chord.test_chords import Body, part_ended
from tests.backends.celery.conftest import HERE, Made


@pytest.fixture
def group_id() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize("ordered", [True, False])
def test_present_and_missing_parts_are_listed(made: Made, ordered: bool):
    client = made(result_backend_transport_options={"result_chord_ordered": ordered})
    result = chord([client.signature("part") for _ in range(3)], Body(client).signature)()
    group_id, ids = result.parent.id, [one.id for one in result.parent.results]

    part_ended(client, group_id, Body(client), 1, 5, id=ids[1])

    seen = read_header(client.backend, group_id)
    assert (seen.stage, seen.size) == (ChordStage.WAITING, 3)
    assert [(part.id, part.state) for part in seen.present] == [(ids[1], "SUCCESS")]
    assert [(part.id, part.state) for part in seen.missing] == [(ids[0], ""), (ids[2], "")]


def test_a_chord_is_followed_to_its_end(client: Celery, group_id: str, raw: redis.Redis):
    body = Body(client)
    with pytest.raises(ResultMissing, match=group_id):
        read_header(client.backend, group_id)
    client.backend.set_chord_size(group_id, 1)
    assert read_header(client.backend, group_id).stage is ChordStage.WAITING
    client.tasks[body.signature.task].apply_async = lambda *_, **__: seen.append(read_header(client.backend, group_id))
    seen = []
    part_ended(client, group_id, body, 0, 5)
    assert (seen[0].stage, 0 < seen[0].lease_s <= 60) == (ChordStage.FINISHING, True)
    assert read_header(client.backend, group_id).stage is ChordStage.SENT


def test_a_chord_whose_part_failed_has_ended(client: Celery, group_id: str):
    client.backend.set_chord_size(group_id, 1)
    part_ended(client, group_id, Body(client), 0, ValueError("broken"))
    seen = read_header(client.backend, group_id)
    assert (seen.stage, [part.state for part in seen.present]) == (ChordStage.ENDED, ["FAILURE"])


@pytest.mark.usefixtures("worker")
def test_a_body_is_sent_by_the_command(app: Celery, environment: dict[str, str], group_id: str):
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "resultstore.cli", "chord", group_id, "--app", "worker_app", *args]
        return subprocess.run(
            command, check=False, cwd=HERE, env=os.environ | environment, text=True, capture_output=True, timeout=60
        )

    backend, total = app.backend, app.tasks["worker_app.total"].s()
    total.freeze()
    backend.groups.chords.reset(group_id, [f"{group_id}-0", f"{group_id}-1"])
    backend.set_chord_size(group_id, 2)
    body = type("B", (), {"signature": total})
    part_ended(app, group_id, body, 0, 20)
    early = run("--dispatch")
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(type(backend.groups.chords), "_finish", lambda *_: None)
        part_ended(app, group_id, body, 1, 22)
    stuck = run("--json")
    sent = run("--dispatch")

    assert early.returncode == 3
    assert "1 of 2 parts have finished" in early.stderr
    assert json.loads(stuck.stdout)["stage"] == "a worker is sending the body"
    assert "the body was sent" in sent.stdout, sent.stderr
    assert total.AsyncResult(total.id).get(timeout=30) == 42
    assert backend.client.zscore(backend.groups.chords.outbox.key, group_id) is None
