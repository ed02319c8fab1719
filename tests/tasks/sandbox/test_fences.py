"""Sandbox: a compromised decoder reaches nothing of the worker, or the worker logs what at its start."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery.signals import worker_init, worker_ready

from resultstore import BadInput
from resultstore_tasks import app
from resultstore_tasks.sandbox import fences
from resultstore_tasks.sandbox.confined import Bounds, run

BOUNDS = Bounds(memory_mib=256, cpu_s=5, wall_s=30, written_mib=1)
REPOSITORY = Path(__file__).parents[3]
STRANGER = 65532


@pytest.fixture
def tried(tmp_path):
    """Run a line of Python like a decoder: return `done`, or the name of its error."""

    def attempt(code: str) -> str:
        body = f"try:\n    {code}\nexcept OSError as why:\n    print(type(why).__name__)\nelse:\n    print('done')"
        (tmp_path / "work").mkdir(exist_ok=True)
        return run([sys.executable, "-I", "-c", body], folder=tmp_path / "work", bounds=BOUNDS).decode().strip()

    return attempt


def test_a_decoder_reaches_nothing_here():
    assert fences.probe_access() == frozenset()


TRIES = {
    "the worker's environment": "open('/proc/{pid}/environ').read()",
    "the worker's memory": "open('/proc/{pid}/mem', 'r+b')",
    "the worker's open files": "import os; os.listdir('/proc/{pid}/fd')",
    "a blob": "open('{blob}').read()",
    "writing a blob": "open('{blob}', 'r+')",
    "making a blob": "open('{blob}-2', 'w')",
    "deleting a blob": "import os; os.remove('{blob}')",
    "renaming a blob": "import os; os.rename('{blob}', '{blob}-2')",
    "a blob's mode": "import os; os.chmod('{blob}', 0)",
    "a blob's times": "import os; os.utime('{blob}', (0, 0))",
    "a blob's attributes": "import os; os.setxattr('{blob}', 'user.x', b'x')",
    "a link to a blob": "import os; os.link('{blob}', 'blob')",
    "a symbolic link": "import os; os.symlink('{blob}', 'blob')",
    "a pipe": "import os; os.mkfifo('pipe')",
    "users": "open('/etc/passwd').read()",
    "the folder above": "import os; os.listdir('..')",
    "ending the worker": "import os; os.kill({pid}, 0)",
    "ending every process": "import os; os.kill(-1, 0)",
    "its limits": "import resource; resource.prlimit({pid}, resource.RLIMIT_CPU)",
    "a process": "import os; os.fork()",
    "a program": "import os; os.posix_spawn('/bin/true', ['true'], {{}})",
    "a socket": "import socket; socket.socket(socket.AF_UNIX)",
}


@pytest.mark.parametrize("what", TRIES)
def test_a_decoder_is_kept_from(tried, tmp_path, what):
    blob = tmp_path / "blob"
    blob.write_bytes(b"a result")
    blob.chmod(0o666)

    assert tried(TRIES[what].format(pid=os.getpid(), blob=blob)) in {"PermissionError", "OSError"}
    assert blob.read_bytes() == b"a result"
    assert set(tmp_path.iterdir()) == {blob, tmp_path / "work"}


ALLOWED = {
    "its own files": "open('made', 'w').write('x'); open('made').read(); __import__('os').remove('made')",
    "threads": "import threading; one = threading.Thread(target=int); one.start(); one.join()",
    "its own signals": "import os; os.kill(os.getpid(), 0)",
    "its own limits": "import resource; resource.getrlimit(resource.RLIMIT_CPU)",
    "nowhere": "open('/dev/null', 'w').write('x')",
    "chance": "open('/dev/urandom', 'rb').read(1)",
}


@pytest.mark.parametrize("what", ALLOWED)
def test_a_decoder_may_use(tried, what):
    assert tried(ALLOWED[what]) == "done"


def test_program_of_root_runs_as_another_user(tmp_path):
    found = run(["/usr/bin/id", "-u"], folder=tmp_path, bounds=BOUNDS)

    assert found == (b"65533\n" if os.geteuid() == 0 else f"{os.geteuid()}\n".encode())
    assert tmp_path.stat().st_uid == int(found)


def test_root_loses_capabilities_if_files_are_roots(tmp_path):
    code = "import ctypes\nprint([ctypes.CDLL(None).prctl(23, one, 0, 0, 0) for one in range(40)])"  # PR_CAPBSET_READ

    found = json.loads(run([sys.executable, "-I", "-c", code], folder=tmp_path, bounds=BOUNDS))

    assert sum(found) == 0 or os.geteuid() != 0


# A system call filter around a worker, like a kernel or a container that lacks or forbids the calls.
WITHOUT = """
import ctypes, errno, os, platform, struct, sys
x86 = platform.machine() == "x86_64"
def refuse(number, error):
    return [struct.pack("HBBI", 0x15, 0, 1, number), struct.pack("HBBI", 0x06, 0, 0, 0x50000 | error)]
steps = [struct.pack("HBBI", 0x20, 0, 0, 0)]
if "landlock" in {what!r}:
    steps += refuse(444, errno.ENOSYS)
if "unshare" in {what!r}:
    steps += refuse(272 if x86 else 97, errno.EPERM)
if "seccomp" in {what!r}:  # prctl(PR_SET_SECCOMP), which is its first argument
    steps += [struct.pack("HBBI", 0x15, 0, 3, 157 if x86 else 167), struct.pack("HBBI", 0x20, 0, 0, 16)]
    steps += refuse(22, errno.EINVAL)
steps += [struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)]
body = ctypes.create_string_buffer(b"".join(steps))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
described = ctypes.c_char_p(struct.pack("HP", len(steps), ctypes.addressof(body)))
assert not {what!r} or libc.prctl(22, ctypes.c_ulong(2), described, 0, 0) == 0
"""
WORKER = """
import json, logging, os, sys, tempfile
from pathlib import Path
from celery.signals import worker_init
from reportlab.pdfgen.canvas import Canvas
from resultstore_tasks import app
from resultstore_tasks.documents.task import draw_cover
from resultstore_tasks.sandbox import fences
from resultstore import Settings
if {user}:
    os.setgroups([]); os.setresgid({user}, {user}, {user}); os.setresuid({user}, {user}, {user})
worker_init.send(sender=None)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "document.pdf"
    canvas = Canvas(str(path)); canvas.drawString(50, 50, "x"); canvas.showPage(); canvas.save()
    pages = draw_cover(path, width=100)[1].pages if {pages} else 1
    print(json.dumps([pages, sorted(fences.probe_access())]))
"""


def probe_access(what: str, *, user: int = 0, python: str = sys.executable) -> list[str]:
    """Return what a decoder reaches if the kernel lacks `what`, after checking that it still makes covers."""
    program = WITHOUT.format(what=what) + WORKER.format(user=user, pages=python == sys.executable)
    program = program.replace(
        "from resultstore_tasks import app", f"sys.executable = {python!r}\nfrom resultstore_tasks import app", 1
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    pages, found = json.loads(done.stdout)
    assert pages == 1
    return found


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("", set()),
        ("unshare", set()),
        ("seccomp", {"processes"}),
        ("landlock", {"files", "writing"}),
        ("seccomp landlock", {"files", "processes", "signals", "writing"}),
        ("unshare seccomp landlock", {"files", "network", "processes", "signals", "writing"}),
    ],
)
def test_a_worker_goes_on_without(what, left):
    assert set(probe_access(what)) == left


def others_python() -> str:
    """Return a Python that every user may run."""
    for path in (Path(sys.executable), Path("/usr/bin/python3")):
        above = (*path.parents, *path.resolve().parents)
        if path.exists() and all(one.stat().st_mode & 1 for one in above):
            return str(path)
    pytest.fail("there is no Python here that every user may run: apt-get install python3")


@pytest.mark.parametrize(("what", "left"), [("", set()), ("landlock", {"files", "writing"})])
def test_sandbox_holds_without_root_capabilities(what, left):
    user = STRANGER if os.geteuid() == 0 else 0

    assert set(probe_access(what, user=user, python=others_python())) == left


READS = """
import os, sys
from celery.signals import worker_init
{before}
os.setgroups([]); os.setresgid({user}, {user}, {user}); os.setresuid({user}, {user}, {user})
from pathlib import Path
worker = os.getpid()
{hidden}
pipe, other = os.pipe()
child = os.fork()
if not child:  # another process of the same user; made by fork, like the processes of the pool
    try:
        Path(f"/proc/{{worker}}/environ").read_bytes()
    except PermissionError:
        os.write(other, b"closed")
    else:
        os.write(other, b"open")
    os._exit(0)
os.waitpid(child, 0)
print(os.read(pipe, 9).decode())
"""


@pytest.mark.parametrize(("sent", "found"), [(True, "closed"), (False, "open")])
def test_a_worker_hides_its_environment(sent, found):
    user = STRANGER if os.geteuid() == 0 else os.getuid()
    hidden = "import ctypes; ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)"  # a change of user hides it too: undo that
    hidden += "\nworker_init.send(sender=None)" if sent else ""
    program = READS.format(before="from resultstore_tasks import app", user=user, hidden=hidden)
    if os.geteuid() != 0:
        program = program.replace("os.setgroups([]); ", "")

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True)

    assert done.stdout == f"{found}\n"


@pytest.mark.parametrize("name", ["network", "files", "writing", "memory", "signals", "processes"])
def test_worker_logs_what_decoders_reach(monkeypatch, caplog, name):
    monkeypatch.setattr(fences, "probe_access", lambda: frozenset({name}))
    caplog.set_level(logging.WARNING)  # a worker inside this process may have raised it

    worker_ready.send(sender=None)

    (told,) = [one.getMessage() for one in caplog.records if one.name == "resultstore_tasks.sandbox.fences"]
    assert told.startswith("decoders_")
    assert "docs/security.md" in told


def test_a_worker_says_nothing_where_they_reach_nothing(caplog):
    caplog.set_level(logging.INFO)

    worker_ready.send(sender=None)

    assert not [one for one in caplog.records if one.name == "resultstore_tasks.sandbox.fences"]


def test_worker_starts_if_no_decoder_runs(monkeypatch, caplog):
    def refused() -> frozenset[str]:
        raise BadInput("it cannot be run")

    monkeypatch.setattr(fences, "probe_access", refused)

    worker_ready.send(sender=None)

    assert "decoders_cannot_run: it cannot be run" in caplog.text
    assert app.app is not None
    assert worker_init is not None
