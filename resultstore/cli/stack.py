"""The processes of the demo: servers, a worker and the gateway."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import msgspec

from resultstore.blobs.s3.credentials import Credentials
from resultstore.cli.extras import require_extra
from resultstore.cli.serve import WORKER_ENVIRONMENT, worker_argv
from resultstore.cli.stack_kind import StackKind
from resultstore.model.errors import Misconfigured, Unavailable
from resultstore.ops.embedded import claim, start_embedded
from resultstore.ops.processes import Processes
from resultstore.settings import Settings

PREFIX = "RESULTSTORE_"
DEMO_BUCKET_URL = "s3://resultstore-demo"
STOP_GRACE_S = 5.0
LOG_TAIL_BYTES = 600
POLL_S = 0.05


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """Running processes and their settings; `watched` maps each log file to the process that writes it."""

    kind: StackKind
    folder: Path
    settings: Settings
    watched: Mapping[Path, subprocess.Popen[bytes]]

    def check(self) -> None:
        """Raise Unavailable, with the last line of its log, when a process has ended."""
        for log, process in self.watched.items():
            if process.poll() is not None:
                with log.open("rb") as file:
                    file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
                    tail = file.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise Unavailable(
                    f"the {log.stem} of the demo ended with code {process.returncode} ({tail}); see {log}"
                )


@contextmanager
def running_stack(folder: Path, kind: StackKind, *, token: str) -> Iterator[Stack]:
    """Start the processes with their data in `folder`; stop them when the block ends or this process dies.

    With administrator rights on MinIO, gateway and worker get temporary accounts of their own.
    Raises Misconfigured when another demo runs in that folder.
    """
    with ExitStack() as ending:
        lock = claim(folder)
        ending.callback(os.close, lock)
        accounts = _accounts(ending, token) if kind is StackKind.REAL else {}
        processes = Processes(keep_fds=[lock])
        ending.callback(processes.stop, grace_s=STOP_GRACE_S)
        sockets = [ending.enter_context(_listener()) for _ in range(2)]
        yield _started(folder, kind, processes, sockets=sockets, token=token, accounts=accounts)


def _accounts(ending: ExitStack, token: str) -> Mapping[str, Credentials]:
    """Return the keys of temporary accounts by role; none if the store cannot create accounts."""
    settings = _settings(_real_variables())
    try:
        made = require_extra("resultstore.ops.accounts", extra="minio").temporary_accounts(settings, token=token)
        accounts: Mapping[str, Credentials] = ending.enter_context(made)
    except Misconfigured:  # not MinIO, or no administrator rights: use the given keys
        return {}
    return accounts


def _started(
    folder: Path,
    kind: StackKind,
    processes: Processes,
    *,
    sockets: list[socket.socket],
    token: str,
    accounts: Mapping[str, Credentials],
) -> Stack:
    watched: dict[Path, subprocess.Popen[bytes]] = {}
    if kind is StackKind.EMBEDDED:
        embedded = start_embedded(folder, processes)
        watched[folder / "valkey.log"] = embedded.process
        variables = embedded.environment()
    else:
        variables = _real_variables()
        variables[f"{PREFIX}BROKER_QUEUE"] = f"resultstore-demo-{token}"  # RabbitMQ may be shared with others
    variables |= _listener_variables(sockets)
    variables[f"{PREFIX}OFFERS"] = "resultstore_tasks.offers:offers"  # the worker may be ready later than the gateway
    environment = _child_environment(variables)
    fds = [one.fileno() for one in sockets]
    watched[folder / "gateway.log"] = processes.start(
        [sys.executable, "-P", "-m", "resultstore.cli", "gateway", *(f"--fd={fd}" for fd in fds)],
        env=environment | _signing(accounts) | _own(accounts, "gateway"),
        log=folder / "gateway.log",
        cwd=folder,
        pass_fds=fds,
    )
    watched[folder / "worker.log"] = processes.start(
        worker_argv(concurrency=2),
        env=environment | _signing(accounts) | _own(accounts, "worker"),
        log=folder / "worker.log",
        cwd=folder,
    )
    _write_environment(folder / "env", variables)
    return Stack(kind=kind, folder=folder, settings=_settings(variables), watched=watched)


def _own(accounts: Mapping[str, Credentials], role: str) -> dict[str, str]:
    """Return the credentials of a process of this role, if it has an account."""
    if role not in accounts:
        return {}
    return {"AWS_ACCESS_KEY_ID": accounts[role].access_key, "AWS_SECRET_ACCESS_KEY": accounts[role].secret_key}


def _signing(accounts: Mapping[str, Credentials]) -> dict[str, str]:
    """Return the credentials that sign URLs, if there are accounts for that."""
    roles = {"S3_SIGN": "reader", "S3_UPLOAD_SIGN": "uploader"}
    pairs = {name: accounts[role] for name, role in roles.items() if role in accounts}
    keys = {f"{PREFIX}{name}_ACCESS_KEY": pair.access_key for name, pair in pairs.items()}
    return keys | {f"{PREFIX}{name}_SECRET_KEY": pair.secret_key for name, pair in pairs.items()}


def _listener() -> socket.socket:
    """Return a socket that listens before the gateway starts: no other process can take its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _listener_variables(sockets: list[socket.socket]) -> dict[str, str]:
    gateway, blobs = (one.getsockname()[1] for one in sockets)
    return {
        f"{PREFIX}GATEWAY_HOST": "127.0.0.1",
        f"{PREFIX}GATEWAY_PORT": str(gateway),
        # Not the host name of the bytes: a browser then treats them as another site, isolated from the page.
        f"{PREFIX}GATEWAY_URL": f"http://localhost:{gateway}",
        f"{PREFIX}BYTES_HOST": "127.0.0.1",
        f"{PREFIX}BYTES_PORT": str(blobs),
        f"{PREFIX}BYTES_URL": f"http://127.0.0.1:{blobs}",
    }


def _real_variables() -> dict[str, str]:
    """Return the settings of the environment, for servers that run already."""
    named = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return {f"{PREFIX}BLOBS_URL": DEMO_BUCKET_URL} | named


def _child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process, with exactly these settings."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return rest | WORKER_ENVIRONMENT | dict(variables)


def _settings(variables: Mapping[str, str]) -> Settings:
    return Settings.of(variables)


def _write_environment(path: Path, variables: Mapping[str, str]) -> None:
    """Write the settings to a file; after `. .demo/env`, every `resultstore` command uses this demo."""
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}='{value}'\n" for name, value in sorted(variables.items())))


def opens_windows() -> bool:
    """Return True if the user would see a browser that is started here."""
    seen = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return seen and sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ


def wait_ready(stack: Stack, *, limit_s: float) -> None:
    """Wait until the gateway is ready. Raises Unavailable after `limit_s`."""
    until = time.monotonic() + limit_s
    url = f"{stack.settings.gateway.url}/readyz"
    while time.monotonic() < until:
        stack.check()
        # The socket listens before the gateway runs: the first request simply waits in its queue.
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=max(0.1, until - time.monotonic())).is_success:
                return
        time.sleep(POLL_S)
    raise Unavailable(f"the gateway is not ready after {limit_s:.0f} s; see {stack.folder / 'gateway.log'}")
