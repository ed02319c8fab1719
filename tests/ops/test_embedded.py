"""Embedded stack: a private Valkey server, with a password that other users cannot read."""

import os
from pathlib import Path

import pytest
import redis

from resultstore.model.errors import IndexUnavailable, Misconfigured
from resultstore.ops.embedded import claim, kept_secret, start_embedded
from resultstore.ops.processes import Processes


@pytest.fixture
def embedded(tmp_path):
    lock = claim(tmp_path)
    processes = Processes(keep_fds=[lock])
    try:
        yield start_embedded(tmp_path, processes)
    finally:
        processes.stop(grace_s=5)
        os.close(lock)


def test_password_is_asked_for_and_never_shown(embedded):
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=embedded.port).ping()

    assert redis.Redis(port=embedded.port, password=embedded.password).ping()
    assert embedded.password.encode() not in Path(f"/proc/{embedded.process.pid}/cmdline").read_bytes()
    assert (embedded.folder / "valkey.conf").stat().st_mode & 0o077 == 0


def test_embedded_server_persists_and_listens_on_loopback(embedded):
    client = redis.Redis(port=embedded.port, password=embedded.password)

    assert client.config_get("appendonly")["appendonly"] == "yes"
    assert client.config_get("bind")["bind"] == "127.0.0.1"
    assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_broker_and_index_have_databases_of_their_own(embedded):
    variables = embedded.environment()

    assert variables["RESULTSTORE_INDEX_URL"].endswith("/0")
    assert variables["RESULTSTORE_BROKER_URL"].endswith("/1")


def test_records_outlive_it_and_messages_do_not(tmp_path):
    lock = claim(tmp_path)
    for round_number in range(2):
        processes = Processes(keep_fds=[lock])
        server = start_embedded(tmp_path, processes)
        index, broker = (redis.Redis(port=server.port, password=server.password, db=db) for db in (0, 1))
        found = (index.get("record"), broker.get("message"))
        index.set("record", "1")
        broker.set("message", "1")
        processes.stop(grace_s=5)
        assert found == ((None, None), (b"1", None))[round_number]
    os.close(lock)


def test_a_folder_has_one_stack_at_a_time(tmp_path):
    lock = claim(tmp_path)

    with pytest.raises(Misconfigured, match="another demo runs in"):
        claim(tmp_path)

    os.close(lock)
    os.close(claim(tmp_path))


def test_failed_server_start_shows_its_log(tmp_path):
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "appendonlydir").write_text("a file where a folder should be")
    processes = Processes()
    try:
        with pytest.raises(IndexUnavailable, match=r"valkey\.log"):
            start_embedded(tmp_path, processes)
    finally:
        processes.stop(grace_s=5)


def test_secret_is_made_once_and_private(tmp_path):
    path = tmp_path / "secret"

    assert kept_secret(path) == kept_secret(path)
    assert len(kept_secret(path)) == 64
    assert path.stat().st_mode & 0o077 == 0
