"""doctor on a Redis whose memory is limited, full, or freed by evicting any key."""

import pytest
import redis

from tests.cli.test_doctor_servers import examined, running

__all__ = ["examined"]

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("policy", "limit", "verdict"),
    [
        ("allkeys-lru", "64mb", "wrong"),
        ("allkeys-random", "64mb", "wrong"),
        ("allkeys-lfu", "0", "warning"),
        ("noeviction", "64mb", "ok"),
        ("volatile-ttl", "64mb", "ok"),
        ("noeviction", "0", "ok"),
    ],
)
def test_policy_that_evicts_any_key_is_found(examined, tmp_path, policy, limit, verdict):
    with running(tmp_path, "--maxmemory-policy", policy, "--maxmemory", limit) as server:
        found = examined(RESULTSTORE_INDEX_URL=server.url)

    assert found["index"]["verdict"] == "ok"
    assert found["index memory"]["verdict"] == verdict
    assert policy in found["index memory"]["text"]
    assert ("noeviction" in found["index memory"]["remedy"]) == (verdict != "ok")


def test_full_index_is_found(examined, tmp_path):
    with running(tmp_path, "--maxmemory-policy", "noeviction") as server, redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)

        found = examined(RESULTSTORE_INDEX_URL=server.url)

    assert found["index"]["verdict"] == "wrong"
    assert "full and refuses writes" in found["index"]["text"]
    assert "maxmemory" in found["index"]["remedy"]


def test_nearly_full_index_is_a_warning(examined, tmp_path):
    with running(tmp_path, "--maxmemory-policy", "noeviction") as server, redis.Redis(port=server.port) as client:
        for n in range(60):
            client.set(f"ballast{n}", b"b" * MIB)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.93))

        found = examined(RESULTSTORE_INDEX_URL=server.url)

    assert found["index"]["verdict"] == "ok"
    assert found["index memory"]["verdict"] == "warning"
    assert "nearly full" in found["index memory"]["text"]


def test_replica_in_place_of_primary_is_found(examined, tmp_path):
    (tmp_path / "replica").mkdir()
    with (
        running(tmp_path) as primary,
        running(tmp_path / "replica", "--replicaof", f"127.0.0.1 {primary.port}") as replica,
    ):
        found = examined(RESULTSTORE_INDEX_URL=replica.url)["index"]

    assert found["verdict"] == "wrong"
    assert "read only replica" in found["text"]
    assert "primary" in found["remedy"]


def test_user_without_info_is_told(examined, tmp_path):
    with running(tmp_path) as server, redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "allkeys", "allchannels", "+@all", "-info")

        found = examined(RESULTSTORE_INDEX_URL=server.url.replace("//", "//ann:pw@"))

    assert found["index"]["verdict"] == "ok"
    assert found["index memory"]["verdict"] == "warning"
    assert "+info" in found["index memory"]["remedy"]
