"""`serve`: runs the gateway's listeners in one process and one event loop."""

import asyncio
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import cast

import uvicorn
from fastapi import FastAPI
from prometheus_client import make_asgi_app
from starlette.types import ASGIApp

from resultstore.blobs.local.signer import LocalSigner
from resultstore.connect import connect
from resultstore.gateway.events.hub import Hub
from resultstore.gateway.identity.identities import check_exposure
from resultstore.gateway.local_bytes.app import create_bytes_app
from resultstore.gateway.metrics import metrics_listener
from resultstore.gateway.middleware.connection_limit import ConnectionLimit, connections_of
from resultstore.gateway.middleware.host_guard import page_origins
from resultstore.gateway.middleware.slow_clients import SlowClientProtocol
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.telemetry.logs import Log

DRAIN_S = 5
BACKLOG = 512
# For the gateway's connections, which carry JSON. Linux lets a send buffer grow to 4 MiB and never closes a connection
# whose client reads nothing: a thousand stalled event streams would hold 4 GiB.
SEND_BUFFER_BYTES = 128 * 1024
STALLED_MS = 30_000

_log = Log(__name__)


def serve(
    settings: Settings,
    compose: Callable[[Store], FastAPI],
    *,
    store: Store | None = None,
    fds: Sequence[int] = (),
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: the addresses to listen on, and the servers to use.
        compose: returns the gateway's application over the Store, such as `create_app`.
        store: the Store, made from `settings`; None connects a new one.
        fds: listening sockets to use instead of the settings' ports: the gateway's, then the bytes listener's.
    """
    store = connect(settings) if store is None else store
    gateway = compose(store)
    apps = _apps(store, gateway)
    addresses = [(settings.gateway.host, settings.gateway.port), (settings.local_bytes.host, settings.local_bytes.port)]
    inherited = [socket.socket(fileno=fd) for fd in fds]
    sockets = inherited or [_listen(*address) for address, _ in zip(addresses, apps, strict=False)]
    limit_send_buffers(sockets[0])
    for one in sockets:
        limit_stalls(one)
    check_exposure(settings, host=_host_of(sockets[0]), mode=gateway.state.mode)
    named = list(zip(("gateway", "bytes"), apps, sockets, strict=False))
    if (metrics_socket := metrics_listener(settings)) is not None:
        named.append(("metrics", make_asgi_app(gateway.state.metrics.registry), metrics_socket))
    loop_factory = _config(gateway).get_loop_factory()  # uvloop's, where it is installed
    with suppress(KeyboardInterrupt), _background(gateway), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(named, gateway.state.hub, connections_of(settings.gateway.connections_per_address)))


@contextmanager
def _background(gateway: FastAPI) -> Generator[None, None, None]:
    """Run the background threads and the tracing within the block."""
    with ExitStack() as running:
        running.enter_context(gateway.state.background.running())
        running.enter_context(gateway.state.tracing)
        yield


def _apps(store: Store, gateway: FastAPI) -> list[ASGIApp]:
    """Return the gateway's application, and the bytes application if the store is a local one."""
    apps: list[ASGIApp] = [gateway]
    if store.blobs is not None and isinstance(store.signer, LocalSigner):
        origins, observe = page_origins(store.settings), gateway.state.metrics.observer("bytes")
        apps.append(create_bytes_app(store.blobs, store.signer, origins=origins, observe=observe))
    return apps


def _host_of(listener: socket.socket) -> str:
    """Return the address that `listener` listens on; a Unix socket counts as localhost."""
    return "localhost" if listener.family == socket.AF_UNIX else str(listener.getsockname()[0])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host}:{port} ({error.strerror}): stop the program that uses the port, or set "
            "RESULTSTORE_GATEWAY_PORT and RESULTSTORE_BYTES_PORT"
        ) from error


def limit_send_buffers(listener: socket.socket) -> None:
    """Limit the send buffer of each accepted connection, and how long a client may read nothing."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    limit_stalls(listener)


def limit_stalls(listener: socket.socket) -> None:
    """Limit how long the client of an accepted connection may read nothing."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)


async def _serve(
    listeners: Sequence[tuple[str, ASGIApp, socket.socket]], hub: Hub, connections: ConnectionLimit
) -> None:
    servers = [_Server(_config(app, connections)) for _, app, _ in listeners]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, servers, hub)
    for name, _, one in listeners:
        _log.info("listening", listener=name, address="{}:{}".format(*one.getsockname()[:2]))
    await asyncio.gather(*(server.serve(sockets=[one]) for server, (_, _, one) in zip(servers, listeners, strict=True)))


def _config(app: ASGIApp, connections: ConnectionLimit | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(SlowClientProtocol, connections=connections)),
        log_config=None,
        access_log=False,  # `AccessLog` leaves out the query string, which holds signatures
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        lifespan="off",  # `_background` does the lifespan's work
        proxy_headers=False,  # the peer address decides what is local: no header may change it
        ws="none",
    )


def _end(servers: Sequence[uvicorn.Server], hub: Hub) -> None:
    hub.close()  # an open stream would delay the shutdown until DRAIN_S is over
    for server in servers:
        server.should_exit = True


class _Server(uvicorn.Server):
    """A server that installs no signal handlers: several servers share one loop, and `_serve` handles signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
