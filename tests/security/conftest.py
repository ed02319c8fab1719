"""Fixtures of the attacks: a gateway with tenants, a real worker, and a log of the outcomes."""

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from resultstore import Result, Settings
from tests.gateway.conftest import granted
from tests.security.hostile import jpeg
from tests.uploads.conftest import Place, environment, send, serving
from tests.uploads.test_flow import working

BOOK = Path("build/attacks.json")
LOOK_EVERY_S = 0.02
ALL = ("read", "upload", "run", "delete")


@dataclass
class Target:
    """The target of the attacks: two tenants, an anonymous client and a worker."""

    place: Place
    ann: httpx.Client
    bob: httpx.Client
    anonymous: httpx.Client
    folder: Path
    log: Path

    def uploaded(self, body: bytes, *, name: str, media_type: str, task: str, **asked) -> httpx.Response:
        """Upload a file as Ann; return the first refusal, or the response to the completion."""
        wanted = {"name": name, "media_type": media_type, "task": task, "size_bytes": len(body), "options": {}, **asked}
        answer = self.ann.post("/v1/uploads", json=wanted)
        if answer.is_success:
            ticket = answer.json()
            sent = send(ticket, body)
            answer = self.ann.post(f"/v1/uploads/{ticket['id']}/complete", json={}) if sent.is_success else sent
        return answer

    def outcome(self, answer: httpx.Response) -> Result:
        """Wait for the task that `answer` started and return its Result."""
        return self.place.store.wait(answer.json()["id"], timeout_s=60)


@dataclass
class Attack:
    """One attack with its time and memory; it counts as successful unless the test reports another outcome."""

    name: str
    max_s: float
    max_rss_mib: float
    outcome: str = "let in"
    began: float = field(default_factory=time.monotonic)
    rss_mib: float = 0.0

    def refused(self) -> None:
        self.outcome = "refused"

    def harmless(self) -> None:
        self.outcome = "harmless"


@pytest.fixture(scope="session")
def book() -> Iterator[dict[str, dict[str, object]]]:
    """Collect the outcome of each attack and write them at the end."""
    pages: dict[str, dict[str, object]] = {}
    yield pages
    BOOK.parent.mkdir(exist_ok=True)
    BOOK.write_text(json.dumps(pages, indent=2, sort_keys=True) + "\n")


@pytest.fixture(scope="package")
def target(redis_url, amqp_url, s3_server, tmp_path_factory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("attacks")
    variables = environment(redis_url, amqp_url, s3_server, f"file://{folder}/blobs")
    variables |= {"RESULTSTORE_AUTH": "tokens", "RESULTSTORE_AUTH_TOKENS_FILE": str(folder / "tokens")}
    token_of = partial(granted, folder / "tokens")
    people = {name: token_of(name, *ALL) for name in ("ann", "bob")}
    with contextlib.ExitStack() as open_:
        with pytest.MonkeyPatch.context() as patch:  # only while they read it: other tests follow
            for name, value in variables.items():
                patch.setenv(name, value)
            place = open_.enter_context(serving(Settings()))
            open_.enter_context(working(place, folder / "worker.log"))
            clients = [open_.enter_context(client(place, people.get(name))) for name in ("ann", "bob", "anonymous")]
            made = Target(place, *clients, folder, folder / "worker.log")
            first = made.uploaded(jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
            assert made.outcome(first).state == "SUCCESS"  # the worker has started, which takes time
        yield made


def client(place: Place, token: str | None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=place.gateway.base_url, headers=headers, timeout=30)


@pytest.fixture
def attack(book):
    """`with attack("name", max_s=5) as seen:`; `seen.refused()` or `seen.harmless()` reports a failed attack."""

    @contextlib.contextmanager
    def run(name: str, *, max_s: float = 10.0, max_rss_mib: float = 700.0) -> Iterator[Attack]:
        seen = Attack(name, max_s, max_rss_mib)
        done = threading.Event()
        scales = threading.Thread(target=weigh, args=(seen, done), daemon=True)
        scales.start()
        try:
            yield seen
        finally:
            took_s = time.monotonic() - seen.began
            done.set()
            scales.join()
            book[name] = {"outcome": seen.outcome, "seconds": round(took_s, 2), "rss_mib": round(seen.rss_mib, 1)}
        assert seen.outcome != "let in"
        assert took_s <= max_s
        assert seen.rss_mib <= max_rss_mib

    return run


def weigh(seen: Attack, done: threading.Event) -> None:
    """Measure the peak memory of any child process during the attack; the gateway runs in this process."""
    while not done.wait(LOOK_EVERY_S):
        seen.rss_mib = max([seen.rss_mib, *map(resident_mib, family(os.getpid()))])


def family(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if "resultstore" in Path(f"/proc/{child}/cmdline").read_text():
                yield int(child)
            yield from family(int(child))


def resident_mib(pid: int) -> float:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return 0.0


@pytest.fixture
def unknown() -> str:
    """Return an unknown id."""
    return uuid.uuid4().hex
