"""Cluster: what one process needs of a Redis Cluster."""

import threading
from functools import partial
from itertools import islice
from typing import Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.cluster import ClusterNode, RedisCluster

from resultstore.index.redis.client import RedisClient, connected
from resultstore.index.redis.no_reply import NoReplyConnection
from resultstore.index.redis.pool import CLUSTER_SCHEMES, REDIS_PORT, Options, hosts, with_limits
from resultstore.index.redis.watcher import PubSubConnection
from resultstore.telemetry.redaction import Secret, split_secret

_SCANNED_MOST: Final = 100_000  # a listing looks at no more keys, whatever else lives there
_SCAN_BATCH: Final = 1_000
# Of a single server's connection; a cluster has no databases, and finds its nodes itself.
_NOT_TAKEN: Final = ("db", "host", "port", "connection_class")


def is_cluster(url: str) -> bool:
    """Whether `url` names a Redis Cluster."""
    return urlsplit(url).scheme in CLUSTER_SCHEMES


class RedisClusterClient(RedisClient):
    """The same over many nodes: all keys of an id, an owner or a group lie in one slot, by the braces in them.

    Announcements are published in the node of the id and reach every node, so a subscriber may ask any of them.

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
        """Nothing: the hosts have been read, and more would ask them."""

    @property
    def client(self) -> redis.Redis:
        """What speaks to the nodes: a RedisCluster, which has the commands that are used here."""
        return cast("redis.Redis", self._cluster())

    def connect(self) -> PubSubConnection:
        """A connection to any node, outside the pools, for messages."""
        cluster = self._cluster()
        return self._connect_to(cluster.get_random_node())  # type: ignore[no-untyped-call]

    def send_unconfirmed(self, command: str, key: str, *words: str | bytes) -> None:
        """Say one command about one key to its node; nobody waits for an answer."""
        try:
            node = self._cluster().get_node_from_key(key)  # type: ignore[no-untyped-call]
        except (redis.RedisError, redis.RedisClusterException):
            return
        if node is not None:
            # A node that has lost the slot meanwhile refuses, unheard: hints may be lost.
            connection = self._no_reply_of.get(node.name) or self._no_reply_of.setdefault(
                node.name, NoReplyConnection(partial(self._connect_to, node))
            )
            connection.send(command, key, *words)

    def mget(self, keys: list[str]) -> list[bytes | None]:
        """Many keys: one MGET for each slot, all of a node in one round trip."""
        return cast("list[bytes | None]", self._cluster().mget_nonatomic(keys))

    def scan(self, *, pattern: str, cursor: int) -> tuple[int, list[bytes]]:  # noqa: ARG002 - there is one cursor a node
        """The keys like `pattern` of all nodes, and 0: there is nothing behind them."""
        found = self._cluster().scan_iter(match=pattern, count=_SCAN_BATCH)
        return 0, list(islice(found, _SCANNED_MOST))

    def _connect_to(self, node: ClusterNode) -> PubSubConnection:
        return connected(self._cluster().get_redis_connection(node).connection_pool)

    def _cluster(self) -> RedisCluster:
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = _opened(self._url, self._options)
                except redis.RedisClusterException as error:
                    raise redis.ConnectionError(str(error)) from error
            return self._opened


def _opened(url: str, options: Options) -> RedisCluster:
    parts = split_secret(url)
    user, _, password = map(Secret, parts.netloc.rpartition("@")[0].partition(":"))
    named = {"username": unquote(user), "password": Secret(unquote(password))}
    chosen = with_limits(options) | dict(parse_qsl(parts.query)) | {name: said for name, said in named.items() if said}
    tls = parts.scheme == "rediss-cluster" or chosen.get("connection_class") is redis.SSLConnection
    for name in _NOT_TAKEN:
        chosen.pop(name, None)
    nodes = [ClusterNode(host, port) for host, port in hosts(parts, REDIS_PORT)]  # type: ignore[no-untyped-call]
    return RedisCluster(startup_nodes=nodes, **chosen, **({"ssl": True} if tls else {}))  # type: ignore[arg-type]
