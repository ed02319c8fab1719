"""RedisClusterClient: the client of one process for a Redis Cluster."""

import threading
from functools import partial
from itertools import islice
from typing import Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException

from resultstore.index.redis.client import RedisClient, open_connection
from resultstore.index.redis.no_reply import NoReplyConnection
from resultstore.index.redis.pool import CLUSTER_SCHEMES, REDIS_PORT, Options, hosts, with_limits
from resultstore.index.redis.watcher import PubSubConnection
from resultstore.telemetry.redaction import Secret, split_secret

_SCANNED_MAX: Final = 100_000  # a listing scans no more keys, also of other programs
_SCAN_BATCH: Final = 1_000
# Options of a single server: a cluster has no databases, and finds its nodes itself.
_IGNORED: Final = ("db", "host", "port", "connection_class")


def is_cluster(url: str) -> bool:
    """Return whether `url` names a Redis Cluster."""
    return urlsplit(url).scheme in CLUSTER_SCHEMES


class RedisClusterClient(RedisClient):
    """Sends requests to many nodes. The braces in keys put all keys of an id, owner or group into one slot.

    A message is published at the node of the id and reaches every node, so a subscriber may connect to any of them.

    Args:
        url: redis-cluster://[user:password@]host:port,host2:port, or rediss-cluster:// (TLS).
        where: the hosts, for messages.
        options: redis-py's arguments of a connection.
    """

    def __init__(self, url: str, where: str, options: Options) -> None:
        super().__init__(url, where, options)
        self._lock = threading.Lock()
        self._opened: RedisCluster | None = None
        self._no_reply_of: dict[str, NoReplyConnection] = {}

    def check(self) -> None:
        """Do nothing: the hosts are parsed already, and any further check would send a request."""

    @property
    def redis_py(self) -> redis.Redis:
        """A RedisCluster, which has the commands that are used here."""
        return cast("redis.Redis", self._cluster())

    def connect(self) -> PubSubConnection:
        """Open a connection to any node, outside the pools, for messages."""
        cluster = self._cluster()
        return self._connect_to(cluster.get_random_node())  # type: ignore[no-untyped-call]

    def send_unconfirmed(self, command: str, key: str, *args: str | bytes) -> None:
        """Send one command on one key to its node, without waiting for an answer."""
        try:
            node = self._cluster().get_node_from_key(key)  # type: ignore[no-untyped-call]
        except (redis.RedisError, RedisClusterException):
            return
        if node is not None:
            # A node that no longer owns the slot refuses the command, which is lost then.
            connection = self._no_reply_of.get(node.name) or self._no_reply_of.setdefault(
                node.name, NoReplyConnection(partial(self._connect_to, node))
            )
            connection.send(command, key, *args)

    def mget(self, keys: list[str]) -> list[bytes | None]:
        """Return the values of many keys: one MGET for each slot, one round trip for each node."""
        return cast("list[bytes | None]", self._cluster().mget_nonatomic(keys))

    def scan(
        self,
        *,
        pattern: str,
        cursor: int,  # noqa: ARG002 - there is one cursor a node
        whole: bool = True,
    ) -> tuple[int, list[bytes]]:
        """Return 0 (no further page), and the keys of all nodes that match `pattern`; up to a limit unless `whole`."""
        found = self._cluster().scan_iter(match=pattern, count=_SCAN_BATCH)
        return 0, list(found if whole else islice(found, _SCANNED_MAX))

    def read_memory(self) -> list[dict[str, str | int]]:
        """Return the section `memory` of INFO, of each primary."""
        answer = self._cluster().info("memory", target_nodes=RedisCluster.PRIMARIES)
        answers = [answer] if "used_memory" in answer else answer.values()  # the answer of a single node
        return cast("list[dict[str, str | int]]", list(answers))

    def _connect_to(self, node: ClusterNode) -> PubSubConnection:
        return open_connection(self._cluster().get_redis_connection(node).connection_pool)

    def _cluster(self) -> RedisCluster:
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = _opened(self._url, self._options)
                except RedisClusterException as error:
                    raise redis.ConnectionError(str(error)) from error
            return self._opened


def _opened(url: str, options: Options) -> RedisCluster:
    parts = split_secret(url)
    user, _, password = map(Secret, parts.netloc.rpartition("@")[0].partition(":"))
    named = {"username": unquote(user), "password": Secret(unquote(password))}
    chosen = (
        with_limits(options) | dict(parse_qsl(parts.query)) | {name: value for name, value in named.items() if value}
    )
    tls = parts.scheme == "rediss-cluster" or chosen.get("connection_class") is redis.SSLConnection
    for name in _IGNORED:
        chosen.pop(name, None)
    nodes = [ClusterNode(host, port) for host, port in hosts(parts, REDIS_PORT)]  # type: ignore[no-untyped-call]
    return RedisCluster(startup_nodes=nodes, **chosen, **({"ssl": True} if tls else {}))  # type: ignore[arg-type]
