"""Runs the code of a document, block by block, in an empty folder against the real servers.

A fence's info string says what a block is: `python` is a program, or the file that its first line names (`# jobs.py`);
`sh` is run; `sh background` runs until the page ends; `sh elsewhere` (apt, make) is for other machines than a test's.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resultstore import Settings, Store, connect
from resultstore.ops.embedded import free_port

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/]+\.py)\n")
READY = re.compile(rb" ready\.| ready for action|[Ll]istening|Starting development server|Uvicorn running")
RUN_LIMIT_S = 90
START_LIMIT_S = 40


@pytest.fixture
def settings(s3_server, bucket: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """MinIO, and a database of Redis that is ours alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    own = redis_url.rsplit("/", 1)[0] + "/7"
    return Settings(index_url=own, blobs_url=f"s3://{bucket}/root", s3_endpoint=s3_server.endpoint, secret_key="k" * 32)


@pytest.fixture
def store(settings: Settings) -> Store:
    """A whole store on them."""
    return connect(settings)


@pytest.fixture
def environment(redis_url, amqp_url, s3_server, bucket) -> dict[str, str]:
    """Of a reader who has followed every step: the servers that pages name by example are the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RESULTSTORE_", "RS_TEST_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",  # a program that says in a file that it is ready says it at once, as in a terminal
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "CELERY_BROKER_URL": amqp_url,
        "CELERY_RESULT_BACKEND": f"resultstore+{redis_url}",
        "DRAMATIQ_BROKER_URL": amqp_url.removesuffix("//") + "/%2F",  # pika's spelling of the virtual host `/`
        "RESULTSTORE_BROKER_URL": amqp_url,
        "RESULTSTORE_INDEX_URL": redis_url,
        "RESULTSTORE_BLOBS_URL": f"s3://{bucket}",
        "RESULTSTORE_S3_ENDPOINT": s3_server.endpoint,
        "RESULTSTORE_S3_PUBLIC_ENDPOINT": s3_server.endpoint,
        "RESULTSTORE_SECRET_KEY": "k" * 32,
        "RESULTSTORE_ACCEPT_FORGEABLE_STORE": "true",  # scripts/_access.py says why
        "RESULTSTORE_GATEWAY_PORT": str(free_port()),
        "RESULTSTORE_BYTES_PORT": str(free_port()),
    }


@pytest.fixture
def page(environment, tmp_path) -> Iterator["Page"]:
    """Runs one document."""
    running = Page(environment, tmp_path)
    yield running
    running.end()


class Page:
    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.said: list[str] = []
        self._background: list[subprocess.Popen[bytes]] = []

    def run(self, document: str) -> list[str]:
        """Run every block of a document of this repository; what each of them printed."""
        for language, info, code in FENCE.findall((ROOT / document).read_text()):
            if language == "python":
                self._python(code)
            elif language == "sh" and info.strip() == "background":
                self.start(self._local(code))
            elif language == "sh" and not info.strip():
                self._shell(self._local(code))
        return self.said

    def start(self, command: str) -> None:
        """Run `command` until the page ends; returns when it says that it is ready."""
        log = self.folder / f"background-{len(self._background)}.log"
        with log.open("wb") as output:
            self._background.append(
                subprocess.Popen(
                    ["bash", "-euc", f"exec {command}"],
                    cwd=self.folder,
                    env=self.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        until = time.monotonic() + START_LIMIT_S
        while not READY.search(log.read_bytes()):
            assert self._background[-1].poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)

    def end(self) -> None:
        """End what runs in the background."""
        for process in self._background:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._background:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _python(self, code: str) -> None:
        named = FILE_NAME.match(code)
        if named:
            path = self.folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
            return
        self._do([sys.executable, "-c", f"import sys; sys.path.insert(0, '')\n{code}"])

    def _shell(self, code: str) -> None:
        for line in code.splitlines():
            for name, value in re.findall(r"(\w+)=(\S+)", line) if line.startswith("export ") else ():
                # What the test has set replaces the example of the page.
                self.environment.setdefault(name, value)
        rest = "\n".join(line for line in code.splitlines() if not line.startswith("export "))
        if rest.strip():
            self._do(["bash", "-euo", "pipefail", "-c", rest])

    def _do(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=RUN_LIMIT_S,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        self.said.append(done.stdout)

    def _local(self, code: str) -> str:
        for port, variable in (("8080", "RESULTSTORE_GATEWAY_PORT"), ("8081", "RESULTSTORE_BYTES_PORT")):
            code = code.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.environment[variable]}")
        return code
