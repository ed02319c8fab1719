"""Install: the servers' programs, found on this machine or brought onto it."""

import fcntl
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from _access import Failed
from _local import Programs

MINIO = "github.com/minio/minio"
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"  # the last source that its makers published
# Debian's wrapper on PATH switches to the user `rabbitmq`, who cannot write to a checkout: the plain one comes first.
TEST_PROGRAMS = {"chromium": "chromium", "ffmpeg": "ffmpeg", "ffprobe": "ffmpeg", "nginx": "nginx"}  # its package
TEST_FOLDERS = (*os.get_exec_path(), "/usr/sbin")  # nginx is there, which is not on the PATH of every user
# Where `make versions` has put the programs of other versions.
CHOSEN_PROGRAMS = os.environ.get("RS_SERVER_PROGRAMS", "")
RABBITMQ_FOLDERS = (
    *filter(None, [CHOSEN_PROGRAMS]),
    "/usr/lib/rabbitmq/bin",
    *os.get_exec_path(),
    "/usr/local/sbin",
    "/opt/homebrew/sbin",
)


def programs() -> Programs:
    """Return the programs of the three servers; install missing ones. Raises Failed if it cannot."""
    if missing := _missing_packages():
        _apt_install(missing)
    if missing := _missing_packages():
        raise Failed(f"{_how_to_install(missing)} and try again")
    return Programs(
        redis=_found("redis-server"),
        rabbitmq=_found("rabbitmq-server", folders=RABBITMQ_FOLDERS),
        epmd=_found("epmd"),
        minio=go_program(MINIO, version=MINIO_VERSION),
    )


def test_programs() -> None:
    """Install the other programs of the tests: a browser, ffmpeg, nginx. Raises Failed if it cannot."""
    if missing := _absent(TEST_PROGRAMS, folders=TEST_FOLDERS):
        _apt_install(missing)
    if missing := _absent(TEST_PROGRAMS, folders=TEST_FOLDERS):
        raise Failed(f"{' '.join(missing)} not found: (as root) apt-get install {' '.join(missing)}, and try again")


def go_program(package: str, *, version: str) -> Path:
    """Return a Go program at exactly this version: from PATH, from the cache, or built (2 minutes for MinIO)."""
    name = package.rpartition("/")[2]
    on_path = shutil.which(name)
    if on_path and _is_built_from(Path(on_path), version):
        return Path(on_path)
    cached = cache_folder() / "bin" / f"{package.replace('/', '-')}-{version}"
    with locked(cached.with_suffix(cached.suffix + ".lock")):
        if not cached.exists():
            _go_install(package, version=version, target=cached)
    return cached


def cache_folder() -> Path:
    """Return the folder in which built programs are kept, shared between checkouts."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resultstore"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Wait for the lock on this file, hold it, and yield its descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _missing_packages() -> list[str]:
    wanted = {"redis-server": "redis-server", "rabbitmq-server": "rabbitmq-server", "epmd": "rabbitmq-server"}
    return _absent(wanted, folders=RABBITMQ_FOLDERS)


def _absent(wanted: Mapping[str, str], *, folders: Sequence[str] | None = None) -> list[str]:
    """Return the packages of the programs that are missing in `folders` (by default PATH)."""
    path = None if folders is None else os.pathsep.join(folders)
    return sorted({package for name, package in wanted.items() if not shutil.which(name, path=path)})


def _found(name: str, *, folders: Sequence[str] = ()) -> Path:
    return Path(shutil.which(name, path=os.pathsep.join(folders or RABBITMQ_FOLDERS)) or name)


def _how_to_install(packages: Sequence[str]) -> str:
    words = " ".join(packages)
    return f"{words} not found: start a Docker engine that has compose, or (as root) apt-get install {words}"


def _apt_install(packages: Sequence[str]) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"services: installing {' '.join(packages)} by apt-get", file=sys.stderr, flush=True)
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with locked(cache_folder() / "apt.lock"):
        _checked(["apt-get", "-qq", "update"], env=env)
        wait = "-oDPkg::Lock::Timeout=120"
        _checked(["apt-get", "-qq", "install", "--yes", "--no-install-recommends", wait, *packages], env=env)


def _go_install(package: str, *, version: str, target: Path) -> None:
    if not shutil.which("go"):
        raise Failed(f"{target.name} has to be built: install Go >= 1.24, or start a Docker engine, and try again")
    print(f"services: building {target.name}, once: it takes a minute or two", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as built:
        # No cgo: no C compiler needed. No workspace, no vendor folder: the version alone decides.
        env = os.environ | {"GOBIN": built, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
        _checked(["go", "install", "-ldflags=-s -w", f"{package}@{version}"], env=env)
        [program] = Path(built).iterdir()
        program.rename(target)


def _is_built_from(program: Path, version: str) -> bool:
    """Return True if the module version that Go embeds in its programs is this one."""
    with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(version.encode()) >= 0


def _checked(argv: Sequence[str], *, env: Mapping[str, str]) -> None:
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    if done.returncode:
        raise Failed(f"`{' '.join(argv)}` failed with exit code {done.returncode}; see its output above")
