"""RedisCluster: three real nodes, each with a third of the slots."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis

NODES = 3
SLOTS = 16_384
READY_LIMIT_S = 20


@contextlib.contextmanager
def redis_cluster(folder: Path) -> Iterator[str]:
    """The URL of a cluster that lasts as long as the block."""
    ports = [_free_port() for _ in range(2 * NODES)]
    clients, buses = ports[:NODES], ports[NODES:]
    processes = [_node(folder, port, bus) for port, bus in zip(clients, buses, strict=True)]
    try:
        _join(clients, buses)
        yield "redis-cluster://" + ",".join(f"127.0.0.1:{port}" for port in clients)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait(10)


def _node(folder: Path, port: int, bus: int) -> subprocess.Popen[bytes]:
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    command += ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-config-file", f"nodes-{port}.conf"]
    return subprocess.Popen([*command, "--cluster-node-timeout", "5000", "--logfile", f"{port}.log"])


def _join(ports: list[int], buses: list[int]) -> None:
    nodes = [redis.Redis(port=port) for port in ports]
    try:
        for at, node in enumerate(nodes):
            _until(node.ping)
            node.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS * at // NODES, SLOTS * (at + 1) // NODES - 1)
        for port, bus in zip(ports[1:], buses[1:], strict=True):
            nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        for node in nodes:
            _until(lambda node=node: _is_whole(node))
    finally:
        for node in nodes:
            node.close()


def _is_whole(node: redis.Redis) -> bool:
    told = node.execute_command("CLUSTER INFO")
    return told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == NODES


def _until(holds) -> None:
    end = time.monotonic() + READY_LIMIT_S
    while True:
        with contextlib.suppress(redis.ConnectionError):
            if holds():
                return
        assert time.monotonic() < end, "the nodes do not find together"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
