"""Decoders: untrusted bytes cannot exhaust the decoding process, and a compromised one cannot reach others."""

import os
import socket
import struct
import sys

import pytest
import zstandard

from resultstore import BadInput
from resultstore.model.errors import Damaged
from resultstore_tasks.sandbox.confined import Bounds, run
from tests.security import hostile
from tests.security.conftest import family
from tests.security.hostile import MIB

BOUNDS = Bounds(memory_mib=256, cpu_s=2, wall_s=5)
LIES = {
    "a frame of a GiB": lambda _: zstandard.compress(bytes(1 << 30)),
    "a length that is not so": lambda body: body[:4] + b"\xe0" + struct.pack("<Q", 1 << 62) + body[13:],
    "a table of 4 billion frames": lambda body: body[:-9] + struct.pack("<IBI", 0xFFFFFFFF, 0, 0x8F92EAB1),
    "a table of sizes that are not so": lambda body: body[:-17] + struct.pack("<II", 1, 0x7FFFFFFF) + body[-9:],
    "noise": lambda body: b"\xff" * len(body),
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_lying_compressed_data_fails_without_memory(target, attack, lie):
    with attack(f"zstd: {lie}", max_s=30) as seen:
        store = target.place.store
        artifact = store.put(b"line\n" * MIB, name="a.txt", compress=True)
        blob = target.folder / "blobs" / artifact.key
        body = blob.read_bytes()
        blob.write_bytes(LIES[lie](body)[: len(body)].ljust(len(body), b"\0"))
        peak_mib()
        before = peak_mib()
        with pytest.raises(Damaged), store.open(artifact) as content:
            content.read()
        assert peak_mib() - before < 64
        seen.refused()


def peak_mib() -> float:
    """Return the peak memory of this process since the last call (proc(5): clear_refs)."""
    with open("/proc/self/status") as status:  # noqa: PTH123  one line
        held = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    with open("/proc/self/clear_refs", "w") as marks:  # noqa: PTH123
        marks.write("5")
    return held


def connects(port: int) -> str:
    return f"import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('connected')"


TRIES = {
    "crashes": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "fills the memory": "x = [bytearray(1 << 26) for _ in range(64)]",
    "never ends": "while True: pass",
    "fills the disk": "f = open('big', 'wb'); f.truncate(5 << 30); f.seek(5 << 30); f.write(b'x' * (1 << 20))",
    "prints without end": "import os\nwhile True: os.write(1, bytes(1 << 20))",
    "starts others": "import os\nwhile True: os.fork()",
    "opens all files": "x = [open('/dev/null') for _ in range(500)]",
}


@pytest.mark.parametrize("tries", TRIES)
def test_a_decoder_that_falls_falls_alone(target, attack, tmp_path, tries):
    with attack(f"a decoder that {tries}", max_s=30) as seen:
        with pytest.raises(BadInput):
            run([sys.executable, "-I", "-c", TRIES[tries]], folder=tmp_path, bounds=BOUNDS)
        made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
        assert target.outcome(made).state == "SUCCESS"
        seen.refused()


def test_compromised_decoder_has_no_network_or_secrets(attack, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the crown jewels")
    with attack("a decoder that was taken over", max_s=30) as seen, socket.create_server(("127.0.0.1", 0)) as listener:
        for code in (
            connects(listener.getsockname()[1]),
            "import os, sys; sys.exit('none') if 'AWS_SECRET_ACCESS_KEY' not in os.environ else print('found')",
        ):
            with pytest.raises(BadInput):
                run([sys.executable, "-I", "-c", code], folder=tmp_path, bounds=BOUNDS)
        seen.refused()


def test_compromised_decoder_opens_no_worker_files(target, attack, tmp_path):
    blob = next(one for one in (target.folder / "blobs").rglob("*") if one.is_file())
    workers = list(family(os.getpid()))
    assert workers
    with attack("a decoder that looks into the worker", max_s=60) as seen:
        tries = [f"open('{blob}', 'rb').read()", f"open('{blob}', 'r+b')", f"__import__('os').remove('{blob}')"]
        for pid in workers:
            tries += [f"open('/proc/{pid}/{name}', 'rb').read(1)" for name in ("environ", "mem", "maps")]
            tries += [f"__import__('os').kill({pid}, 0)"]
        for code in tries:
            with pytest.raises(BadInput, match="PermissionError"):
                run([sys.executable, "-I", "-c", code], folder=tmp_path, bounds=BOUNDS)
        seen.refused()
    made = target.uploaded(hostile.jpeg(), name="a.jpg", media_type="image/jpeg", task="images.resize")
    assert target.outcome(made).state == "SUCCESS"
