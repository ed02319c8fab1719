"""Demo: the main job from end to end, on real input."""

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
from resultstore.cli.kinds import StackKind
from resultstore.cli.outcome import Outcome, plain_outcome
from resultstore.cli.output import print_json
from resultstore.cli.stack import Stack, opens_windows, running_stack, wait_ready
from resultstore.connect import connect
from resultstore.model.errors import Unavailable
from resultstore.model.result import State
from resultstore.ops.provision import provision
from resultstore.store import Store

READY_LIMIT_S = 60.0  # a gateway starts in two seconds, and in thirty where ten other things want the cores
WORK_LIMIT_S = 180.0
POLL_S = 0.1
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED = 128  # + the signal's number: how a shell names such an end


class DemoInterrupted(BaseException):
    """Somebody ended the demo by a signal; not an Exception, so that nothing takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """Turns a signal that ends us into Ended, once: the second must not keep us from ending what we started.

    Raised in the middle of whatever runs, it can be swallowed (a callback of C code, a `__del__`): loops ask again.
    """

    def __init__(self) -> None:
        self._number: int | None = None

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        for one in ENDINGS:
            signal.signal(one, signal.SIG_IGN)
        self._number = number
        raise DemoInterrupted(number)

    def check(self) -> None:
        """Raise Ended if a signal came."""
        if self._number is not None:
            raise DemoInterrupted(self._number)


def run_demo(folder: Path, *, once: bool, kind: StackKind, json: bool) -> int:
    """Run it with the data in `folder`; gives the exit code.

    With `once` every URL is fetched and checked, and everything is stopped. Without, it serves until a signal ends it.
    """
    scene = DemoOutput(quiet=json)
    with _handled(Signals()) as signals, running_stack(folder, kind, token=secrets.token_hex(3)) as stack:
        try:
            outcomes = _worked(stack, scene, signals, shows=not once)
            checked = _checked(stack, scene, outcomes) if once else []
            scene.ending(outcomes, checked, stack=stack)
            if json:
                print_json(_document(stack, outcomes, checked))
            return _verdict(outcomes, checked) if once else _served(stack, scene, signals)
        except DemoInterrupted as end:
            scene.farewell()
            return SIGNALLED + end.number


def _served(stack: Stack, scene: DemoOutput, signals: Signals) -> int:
    """Keep everything running until Ctrl-C, which is how it is meant to end, or until a process of it is gone."""
    try:
        while True:
            signals.check()
            stack.check()
            time.sleep(POLL_S)
    except DemoInterrupted as end:
        if end.number != signal.SIGINT:
            raise
        scene.farewell()
        return int(Exit.OK)


def _worked(stack: Stack, scene: DemoOutput, signals: Signals, *, shows: bool) -> list[Outcome]:
    scene.opening(stack)
    settings = stack.settings
    with scene.step("storage prepared"):
        provision(settings)
    with scene.step(f"gateway at {settings.gateway.url}"):
        wait_ready(stack, limit_s=READY_LIMIT_S)
    if shows:
        _shown(f"{settings.gateway.url}/", scene)
    signals.check()
    with scene.step("input uploaded by signed URLs"):
        jobs = list(sent_jobs(settings.gateway.url))
    store = connect(settings)
    return _watched(stack, scene, store, jobs, signals=signals)


def _shown(url: str, scene: DemoOutput) -> None:
    """Lead people to the page while the work runs: there they see it come in."""
    scene.entrance(url)
    if opens_windows():
        with suppress(webbrowser.Error):  # none is installed: they have the URL
            webbrowser.open(url)


def _watched(stack: Stack, scene: DemoOutput, store: Store, jobs: Sequence[Job], *, signals: Signals) -> list[Outcome]:
    """Show each job's progress until all have ended; a poll reads the small record alone."""
    outcomes: dict[str, Outcome] = {}
    until = time.monotonic() + WORK_LIMIT_S
    with scene.progress(jobs) as show:
        while len(outcomes) < len(jobs):
            signals.check()
            stack.check()
            if time.monotonic() > until:
                raise Unavailable(f"the work takes over {WORK_LIMIT_S:.0f} s; see {stack.folder / 'worker.log'}")
            for job in jobs:
                if job.id not in outcomes and (seen := store.peek(job.id)) is not None:
                    show(job, seen)
                    if seen.terminal:
                        outcomes[job.id] = Outcome(job=job, result=store.load(job.id) or seen)
            time.sleep(POLL_S)
    return [outcomes[job.id] for job in jobs]


def _checked(stack: Stack, scene: DemoOutput, outcomes: Sequence[Outcome]) -> list[UrlCheck]:
    artifacts = [one for outcome in outcomes for one in outcome.result.artifacts]
    with scene.fetching(len(artifacts)) as advance:
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
def _handled(signals: Signals) -> Iterator[Signals]:
    before = {number: signal.signal(number, signals.take) for number in ENDINGS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
