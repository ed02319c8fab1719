"""Fixtures of the browser tests: Chromium with real gateways and a real worker on the embedded stack."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from resultstore import Settings, Store, connect
from resultstore.cli.serve import WORKER_ENVIRONMENT, worker_argv
from resultstore.gateway.identity.token_file import SCOPES, TokenEntry, new_token, token_hash
from resultstore.ops.embedded import EmbeddedStack, claim, free_port, start_embedded
from resultstore.ops.processes import Processes
from resultstore.ops.provision import provision

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
READY_LIMIT_S = 40.0
POLL_S = 0.05
TIMEOUT_MS = 20_000  # on a loaded machine; normally two seconds are enough
OWNERS = ("alice", "bob", "carol", "dave", "erin")
Visit = Callable[..., Page]


@dataclass
class Gateway:
    """A gateway process that can be killed and restarted on the same port."""

    variables: dict[str, str]
    folder: Path
    processes: Processes
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return self.variables["RESULTSTORE_GATEWAY_URL"]

    @property
    def origins(self) -> set[str]:
        return {self.url, self.variables["RESULTSTORE_BYTES_URL"]}

    def start(self) -> None:
        self.process = self.processes.start(
            [sys.executable, "-P", "-m", "resultstore.cli", "gateway"],
            env=_environment(self.variables),
            log=self.folder / f"gateway-{self.url.rpartition(':')[2]}.log",
            cwd=self.folder,
        )
        until = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz").is_success:
                    return
            time.sleep(POLL_S)
        pytest.fail(f"the gateway is not ready: see {self.folder}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass
class Stage:
    """The processes of these tests: a worker, a gateway in open mode and one with tokens, over one store."""

    store: Store
    open: Gateway
    guarded: Gateway
    tokens: dict[str, str]
    processes: Processes = field(repr=False)

    def http(self, owner: str | None = None) -> httpx.Client:
        """Return an HTTP client for the same gateway."""
        gateway = self.guarded if owner else self.open
        headers = {"Authorization": f"Bearer {self.tokens[owner]}"} if owner else {}
        return httpx.Client(base_url=gateway.url, headers=headers, timeout=30)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("browser")
    lock = claim(folder)
    processes = Processes(keep_fds=[lock])
    try:
        yield _staged(folder, processes)
    finally:
        processes.stop(grace_s=3)
        os.close(lock)


def _staged(folder: Path, processes: Processes) -> Stage:
    embedded = start_embedded(folder, processes)
    tokens = {owner: new_token() for owner in OWNERS}
    grants = folder / "tokens"
    grants.write_text(
        "".join(TokenEntry(token_hash(t), owner, frozenset(SCOPES[:4])).line() for owner, t in tokens.items())
    )
    grants.chmod(0o600)
    open_mode, guarded = (_gateway(embedded, folder, processes) for _ in range(2))
    guarded.variables |= {"RESULTSTORE_AUTH": "tokens", "RESULTSTORE_AUTH_TOKENS_FILE": str(grants)}
    settings = Settings.of(open_mode.variables)
    provision(settings)
    processes.start(
        worker_argv(concurrency=1), env=_environment(open_mode.variables), log=folder / "worker.log", cwd=folder
    )
    for gateway in (open_mode, guarded):
        gateway.start()
    return Stage(connect(settings), open_mode, guarded, tokens, processes)


def _gateway(embedded: EmbeddedStack, folder: Path, processes: Processes) -> Gateway:
    page, blobs = free_port(), free_port()
    variables = embedded.environment() | {
        "RESULTSTORE_GATEWAY_PORT": str(page),
        "RESULTSTORE_GATEWAY_URL": f"http://localhost:{page}",
        "RESULTSTORE_BYTES_PORT": str(blobs),
        "RESULTSTORE_BYTES_URL": f"http://127.0.0.1:{blobs}",
        "RESULTSTORE_OFFERS": "resultstore_tasks.offers:offers",  # the page may be loaded before the worker has started
    }
    return Gateway(variables, folder, processes)


def _environment(variables: dict[str, str]) -> dict[str, str]:
    rest = {name: value for name, value in os.environ.items() if not name.startswith(("RESULTSTORE_", "RS_TEST_"))}
    return rest | WORKER_ENVIRONMENT | {"PYTHONPATH": str(ROOT)} | variables


@pytest.fixture(scope="module")  # module scope: other tests could not run an event loop while Playwright's runs
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=TIMEOUT_MS)
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)


@pytest.fixture
def visit(chromium: Browser, stage: Stage) -> Iterator[Visit]:
    """Open the page in a new browser context. When the test ends, no page may have broken a rule of `watch`."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(gateway: Gateway | None = None, *, loads_fail: bool = False, **options: object) -> Page:
        gateway = gateway or stage.open
        context = chromium.new_context(**options)
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=gateway.url)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        signs_in = gateway is stage.guarded  # the first request, without a token, is answered with 401
        watch(page, gateway, faults, loads_fail=loads_fail or signs_in)
        page.goto(gateway.url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def watch(page: Page, gateway: Gateway, faults: list[str], *, loads_fail: bool) -> None:
    """Record what must never happen: an error, a policy violation, a request to another origin, a cookie.

    `loads_fail`: the test refuses requests on purpose, of which the browser itself reports each.
    """

    def on_console(message: ConsoleMessage) -> None:
        is_expected = loads_fail and message.text.startswith("Failed to load resource")
        if message.type == "error" and not is_expected:
            faults.append(f"{message.text} {message.location.get('url', '')}")

    def on_request(request: Request) -> None:
        origin = "/".join(request.url.split("/")[:3])
        if not request.url.startswith("blob:") and origin not in gateway.origins:
            faults.append(f"a request to {origin}")
        if "cookie" in request.headers:
            faults.append("a cookie was sent")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: faults.append(f"an error: {error}"))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (event) =>"
        " console.error('Content Security Policy', event.violatedDirective, event.blockedURI))"
    )


def shot(page: Page, name: str, *, full: bool = False) -> None:
    """Save a screenshot in SHOTS."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=full)
