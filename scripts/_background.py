"""The servers of this checkout that run in the background, from `start` to `stop`; their data is kept."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from _access import Access, Failed
from _child_processes import POLL_S
from _engine import Servers
from _folder import ROOT, in_use, own_folder
from _run import Ended, ending_by_signal, ignore_endings
from _server import write_secret

NAME = "background"
STATE = ROOT / NAME / "state.json"
LOG = ROOT / "background.log"
START_TIMEOUT_S = 900.0  # with apt-get and the build of MinIO
STOP_TIMEOUT_S = 40.0
VERBS = {
    "start": "start the servers of this checkout",
    "stop": "stop them; their data is kept",
    "status": "print whether they run (exit code 3 if not)",
    "env": "print their addresses as shell exports",
    "serve": "run by `start`: keep the servers until a signal",
}


@dataclass(frozen=True)
class Kept:
    """The state file: the process id of `serve`, and how to reach the servers."""

    pid: int
    access: Access


def do(verb: str, *, program: Path) -> int:
    """Carry out one of VERBS and return the exit code."""
    match verb:
        case "start":
            return _start(program)
        case "stop":
            return _stop()
        case "status":
            return _status()
        case "env":
            return _env()
        case _:
            return _serve()


def _start(program: Path) -> int:
    if in_use(NAME):
        return _status()
    ROOT.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, str(program), "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and keeper.poll() is None:
        if _access() is not None:
            return _status()
        time.sleep(POLL_S)
    keeper.terminate()
    raise Failed(f"the servers did not start:\n{LOG.read_text(errors='replace')}")


def _serve() -> int:
    with ending_by_signal(), own_folder(NAME, keep=True) as (folder, lock_fd):
        STATE.unlink(missing_ok=True)
        servers = Servers(folder, lock_fd=lock_fd, keep=True)
        try:
            access = servers.start()
            draft = STATE.with_suffix(".draft")
            write_secret(draft, json.dumps(asdict(Kept(pid=os.getpid(), access=access))))
            draft.rename(STATE)
            servers.processes.wait_for_any()
            print(f"services: a server has ended: see its log in {ROOT / NAME}", flush=True)
        except Ended:
            return 0
        finally:
            ignore_endings()
            STATE.unlink(missing_ok=True)
            servers.stop()
    return 1


def _stop() -> int:
    if (kept := _kept()) is not None:
        os.kill(kept.pid, signal.SIGTERM)
    until = time.monotonic() + STOP_TIMEOUT_S
    while in_use(NAME) and time.monotonic() < until:
        time.sleep(POLL_S)
    if in_use(NAME):
        raise Failed(f"the servers of {ROOT / NAME} have not ended in {STOP_TIMEOUT_S:.0f} s: see {LOG}")
    return 0


def _status() -> int:
    access = _access()
    if access is None:
        print("services: not running")
        return 3
    for address in (access.redis_url, access.amqp_url, access.s3_endpoint):
        scheme, _, rest = address.partition("://")
        print(f"{scheme}://{rest.rpartition('@')[2]}")  # `env` prints the passwords
    return 0


def _env() -> int:
    access = _access()
    if access is None:
        raise Failed("not running: `scripts/services start` first")
    for name, value in (access.for_tests() | access.for_settings()).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _access() -> Access | None:
    kept = _kept()
    return None if kept is None else kept.access


def _kept() -> Kept | None:
    """Return the state of a running `serve`. A free lock means that it has ended."""
    if not in_use(NAME):
        return None
    try:
        written = json.loads(STATE.read_text())
    except FileNotFoundError:
        return None
    return Kept(pid=written["pid"], access=Access(**written["access"]))
