"""The demo: uploads sample files, runs their tasks, and shows or verifies the results."""

import secrets
import signal
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import msgspec

from resultstore.cli.check import UrlCheck, fetch
from resultstore.cli.demo_output import DemoOutput
from resultstore.cli.exits import Exit
from resultstore.cli.jobs import Job, sent_jobs
from resultstore.cli.outcome import Outcome, plain_outcome
from resultstore.cli.output import print_json
from resultstore.cli.stack import Stack, opens_windows, running_stack, wait_ready
from resultstore.cli.stack_kind import StackKind
from resultstore.connect import connect
from resultstore.model.errors import Unavailable
from resultstore.model.result import State
from resultstore.ops.provision import provision
from resultstore.store import Store

READY_LIMIT_S = 60.0  # a gateway starts in 2 s, and in 30 s on a busy machine
WORK_LIMIT_S = 180.0
POLL_S = 0.1
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED = 128  # plus the signal's number, as a shell reports it


class DemoInterrupted(BaseException):
    """A signal has ended the demo. Not an Exception, so that no handler takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class SignalHandler:
    """Raises DemoInterrupted at the first signal, and ignores more: the processes of the demo must still be stopped.

    An exception that is raised inside a C callback or a `__del__` is lost; loops therefore call `check`.
    """

    def __init__(self) -> None:
        self._number: int | None = None

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: note its number and raise DemoInterrupted."""
        for one in ENDINGS:
            signal.signal(one, signal.SIG_IGN)
        self._number = number
        raise DemoInterrupted(number)

    def check(self) -> None:
        """Raise DemoInterrupted if a signal was received."""
        if self._number is not None:
            raise DemoInterrupted(self._number)


def run_demo(folder: Path, *, once: bool, kind: StackKind, json: bool) -> int:
    """Run the demo with its data in `folder`, and return the exit code.

    With `once`, download and verify every result, then stop. Without it, serve until a signal arrives.
    """
    output = DemoOutput(quiet=json)
    with _handled(SignalHandler()) as signals, running_stack(folder, kind, token=secrets.token_hex(3)) as stack:
        try:
            outcomes = _worked(stack, output, signals, shows=not once)
            checked = _checked(stack, output, outcomes) if once else []
            output.ending(outcomes, checked, stack=stack)
            if json:
                print_json(_document(stack, outcomes, checked))
            return _verdict(outcomes, checked) if once else _served(stack, output, signals)
        except DemoInterrupted as end:
            output.stopping()
            return SIGNALLED + end.number


def _served(stack: Stack, output: DemoOutput, signals: SignalHandler) -> int:
    """Wait for Ctrl-C, the normal end. Raises Unavailable when a process of the demo has ended."""
    try:
        while True:
            signals.check()
            stack.check()
            time.sleep(POLL_S)
    except DemoInterrupted as end:
        if end.number != signal.SIGINT:
            raise
        output.stopping()
        return int(Exit.OK)


def _worked(stack: Stack, output: DemoOutput, signals: SignalHandler, *, shows: bool) -> list[Outcome]:
    output.opening(stack)
    settings = stack.settings
    with output.step("storage prepared"):
        provision(settings)
    with output.step(f"gateway at {settings.gateway.url}"):
        wait_ready(stack, limit_s=READY_LIMIT_S)
    if shows:
        _shown(f"{settings.gateway.url}/", output)
    signals.check()
    with output.step("input uploaded by signed URLs"):
        jobs = list(sent_jobs(settings.gateway.url))
    store = connect(settings)
    return _watched(stack, output, store, jobs, signals=signals)


def _shown(url: str, output: DemoOutput) -> None:
    """Print the URL of the page, and open it in a browser if there is one."""
    output.page_url(url)
    if opens_windows():
        with suppress(webbrowser.Error):  # no browser is installed; the URL was printed
            webbrowser.open(url)


def _watched(
    stack: Stack, output: DemoOutput, store: Store, jobs: Sequence[Job], *, signals: SignalHandler
) -> list[Outcome]:
    """Show the progress of each job until all have ended. A poll reads only the small record."""
    outcomes: dict[str, Outcome] = {}
    until = time.monotonic() + WORK_LIMIT_S
    with output.progress(jobs) as show:
        while len(outcomes) < len(jobs):
            signals.check()
            stack.check()
            if time.monotonic() > until:
                raise Unavailable(f"tasks still run after {WORK_LIMIT_S:.0f} s; see {stack.folder / 'worker.log'}")
            for job in jobs:
                if job.id not in outcomes and (seen := store.peek(job.id)) is not None:
                    show(job, seen)
                    if seen.terminal:
                        outcomes[job.id] = Outcome(job=job, result=store.load(job.id) or seen)
            time.sleep(POLL_S)
    return [outcomes[job.id] for job in jobs]


def _checked(stack: Stack, output: DemoOutput, outcomes: Sequence[Outcome]) -> list[UrlCheck]:
    artifacts = [one for outcome in outcomes for one in outcome.result.artifacts]
    with output.fetching(len(artifacts)) as advance:
        found = []
        for artifact in artifacts:
            found.append(fetch(artifact, gateway_url=stack.settings.gateway.url))
            advance()
    return found


def _verdict(outcomes: Sequence[Outcome], checked: Sequence[UrlCheck]) -> int:
    worked = all(one.result.state == State.SUCCESS and one.result.artifacts for one in outcomes)
    return int(Exit.OK if worked and all(one.ok for one in checked) else Exit.FAILED)


def _document(stack: Stack, outcomes: Sequence[Outcome], checked: Sequence[UrlCheck]) -> dict[str, object]:
    return {
        "stack": str(stack.kind),
        "gateway": stack.settings.gateway.url,
        "results": [plain_outcome(one, gateway_url=stack.settings.gateway.url) for one in outcomes],
        "checked": msgspec.to_builtins(list(checked)),
    }


@contextmanager
def _handled(signals: SignalHandler) -> Iterator[SignalHandler]:
    before = {number: signal.signal(number, signals.take) for number in ENDINGS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
