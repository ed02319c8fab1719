"""Format: docs/format.md suffices to read a store, and its examples match the code."""

import base64
import hashlib
import hmac
import json
import re
import struct
from pathlib import Path

import msgspec
import pytest
import zstandard

from resultstore import Settings, State, connect
from resultstore.blobs import zstd_frames
from resultstore.blobs.stream import Meter
from resultstore.model import layout, layout_marker, record, seal
from resultstore.model.event import Event
from resultstore.model.layout_marker import LayoutMarker, StoreCapabilities
from resultstore.model.mac import Macs
from resultstore.model.result import Progress, Result
from resultstore.ops.provision import provision
from resultstore.store.attempt import Attempt, running

SPECIFICATION = (Path(__file__).resolve().parents[2] / "docs" / "format.md").read_text()
MIB = 1 << 20
SECRET = "0123456789abcdef0123456789abcdef"
FACTS = {"lines": 1, "ünlike": 0.25, "whole": 2.0, "draft": True, "of": None, "by": "é"}
CONTENT = bytes(range(256)) * 10_000  # two and a half MiB


class Reader:
    """A reader of a folder, written from docs/format.md alone: Python's standard library and zstandard."""

    def __init__(self, root: Path, secret: str = "") -> None:
        self.root = root
        self.secret = secret.encode()
        assert json.loads((root / "layout.json").read_bytes())["format"] == 1

    def seal(self, result_id: str) -> dict | None:
        digest = hashlib.sha256(result_id.encode()).hexdigest()
        plain = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", result_id)
        path = self.root / "seals" / digest[:2] / (result_id if plain else "~" + digest)
        if not path.exists():
            return None
        document = path.read_bytes()
        found = json.loads(document)
        if self.secret:
            digest = hmac.new(self.key("seal"), document[:-89], "sha256").hexdigest()
            assert document[-89:] == b',"digest":"hmac-sha256:%s"}' % digest.encode()
        else:
            assert document[-84:] == b',"digest":"sha256:%s"}' % hashlib.sha256(document[:-84]).hexdigest().encode()
        assert found["format"] <= 1
        assert found["id"] == result_id
        return found if found["state"] == "SUCCESS" else None

    def key(self, purpose: str) -> bytes:
        return hmac.new(self.secret, f"resultstore {purpose}".encode(), "sha256").digest()

    def mac(self, artifact: dict) -> str:
        def scalar(value: object) -> str:
            if value is None:
                return "n"
            if isinstance(value, bool):
                return f"b{int(value)}"
            if isinstance(value, int):
                return f"i{value}"
            return "f" + struct.pack(">d", value).hex() if isinstance(value, float) else f"s{value}"

        members = ("id", "name", "file_name", "key", "etag", "size_bytes", "media_type", "sha256", "stored_bytes")
        words = [str(artifact[name]) for name in (*members, "encoding", "retention")]
        words += [scalar(artifact["expires_at"]), artifact["owner"]]
        for name in sorted(artifact["metadata"]):
            words += [name, scalar(artifact["metadata"][name])]
        message = b"".join(str(len(word.encode())).encode() + b":" + word.encode() + b"," for word in words)
        return hmac.new(self.key("artifact"), message, "sha256").digest()[:16].hex()

    def value(self, found: dict) -> bytes | None:
        if "value_at" in found:
            return self.moved(found["value_at"])
        if "value_base64" in found:
            return base64.b64decode(found["value_base64"])
        return found["value"].encode() if "value" in found else None

    def artifacts(self, found: dict) -> list[dict]:
        return json.loads(self.moved(found["artifacts_at"])) if "artifacts_at" in found else found.get("artifacts", [])

    def moved(self, at: dict) -> bytes:
        section = (self.root / at["key"]).read_bytes()
        assert (len(section), hashlib.sha256(section).hexdigest()) == (at["size_bytes"], at["sha256"])
        return section

    def content(self, found: dict, artifact: dict, *, start: int, size_bytes: int) -> bytes:
        """Return the bytes that begin at `start`; only the blocks that hold them are read."""
        if artifact["encoding"] == "":
            return self.stored(found, artifact, start=start, end=min(start + size_bytes, artifact["size_bytes"]))
        count = -(-artifact["size_bytes"] // MIB)
        whole = artifact["stored_bytes"]
        table = self.stored(found, artifact, start=whole - 9 - 8 * count - 8, end=whole)
        assert table[:8] == b"\x5e\x2a\x4d\x18" + struct.pack("<I", 8 * count + 9)
        assert table[-9:] == struct.pack("<I", count) + b"\0\xb1\xea\x92\x8f"
        at, content = 0, b""
        for number, (packed, unpacked) in enumerate(struct.iter_unpack("<II", table[8:-9])):
            if (number + 1) * MIB > start and number * MIB < start + size_bytes:
                frame = self.stored(found, artifact, start=at, end=at + packed)
                assert zstandard.frame_content_size(frame) == unpacked <= MIB
                unpacked_frame = zstandard.ZstdDecompressor().decompress(frame)
                content += unpacked_frame[max(0, start - number * MIB) : start + size_bytes - number * MIB]
            at += packed
        return content

    def stored(self, found: dict, artifact: dict, *, start: int, end: int) -> bytes:
        tables = json.loads(self.moved(found["tables_at"])) if "tables_at" in found else found["tables"]
        table = base64.b64decode(tables[artifact["name"]])
        first = start // MIB * MIB
        blocks = b""
        with (self.root / artifact["key"]).open("rb") as blob:
            blob.seek(first)
            while first + len(blocks) < end:
                number, block = (first + len(blocks)) // MIB, blob.read(MIB)
                assert hashlib.sha256(block).digest()[:16] == table[16 * number : 16 * number + 16], "damaged"
                blocks += block
        return blocks[start - first : end - first]


@pytest.fixture(params=["", SECRET], ids=["plain", "signed"])
def store(request, tmp_path):
    settings = Settings(index_url="memory://", blobs_url=tmp_path.as_uri(), secret_key=request.param)
    provision(settings)
    return connect(settings)


def reader_of(store, root: Path) -> Reader:
    return Reader(root, store.settings.security.secret_key)


@pytest.mark.parametrize("result_id", ["7f3a", "naïve/id", "x" * 64, "x" * 65])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("content", [b"", b"hello\n", CONTENT])
def test_specification_suffices_to_read_a_store(store, tmp_path, result_id, compress, content):
    store.put(content, id=result_id, name="one", compress=compress, metadata=FACTS)

    reader = reader_of(store, tmp_path)
    found = reader.seal(result_id)
    [artifact] = reader.artifacts(found)
    assert artifact["metadata"] == FACTS
    assert artifact["mac"] == (reader.mac(artifact) if reader.secret else "")
    assert artifact["sha256"] == hashlib.sha256(content).hexdigest()
    for start, size_bytes in ((0, len(content)), (MIB - 5, 10), (MIB, MIB), (2 * MIB - 1, 2), (5, 0)):
        part = reader.content(found, artifact, start=start, size_bytes=size_bytes)
        assert part == content[start : start + size_bytes]


@pytest.mark.parametrize("value", [None, b"", b'"text"', "ü".encode(), b"\xff\0", b"v" * MIB])
def test_value_is_read_from_every_place(store, tmp_path, value):
    store.seal(Attempt("7f3a"), value=value)

    reader = reader_of(store, tmp_path)
    assert reader.value(reader.seal("7f3a")) == value


def test_long_list_is_read_from_its_blobs(store, tmp_path):
    attempt = Attempt("7f3a")
    with running(attempt):
        for number in range(600):
            store.put(b"part %d" % number, name=f"part-{number}")
    store.seal(attempt)

    reader = reader_of(store, tmp_path)
    found = reader.seal("7f3a")
    assert {"artifacts_at", "tables_at"} <= found.keys()
    for number, artifact in enumerate(reader.artifacts(found)):
        assert reader.content(found, artifact, start=0, size_bytes=100) == b"part %d" % number


def test_damaged_changed_and_deleted_results_are_refused(store, tmp_path):
    artifact = store.put(CONTENT, id="7f3a", name="one")
    reader = reader_of(store, tmp_path)
    found = reader.seal("7f3a")
    path = tmp_path / artifact.key
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(AssertionError, match="damaged"):
        reader.content(found, reader.artifacts(found)[0], start=2 * MIB, size_bytes=10)

    path = tmp_path / layout.seal_key("7f3a")
    path.write_bytes(path.read_bytes().replace(b'"one"', b'"two"'))
    with pytest.raises(AssertionError):
        reader.seal("7f3a")

    store.delete("7f3a")
    assert reader.seal("7f3a") is None


def examples(kind: str) -> list[tuple[str, str]]:
    """Return the words after the kind in the opening fence, and the block."""
    found = re.findall(rf"^```\w+ {kind} ?(\S*)\n(.*?)\n```$", SPECIFICATION, re.MULTILINE | re.DOTALL)
    assert found
    return found


def hex_of(text: str) -> bytes:
    return bytes.fromhex("".join(re.findall(r"\b[0-9a-f]+\b", text)))


@pytest.mark.parametrize(("result_id", "document"), examples("seal"))
def test_shown_seals_match_the_code(result_id, document):
    macs = macs_of(document)
    read = seal.decode(document.encode(), macs, id=result_id)

    assert seal.encode(read, macs).decode() == document


def macs_of(document: str) -> Macs:
    return Macs(SECRET.encode() if "hmac" in document else b"")


def test_shown_artifact_has_the_described_mac(tmp_path):
    (tmp_path / "layout.json").write_text('{"format":1}')
    [artifact] = json.loads(examples("seal")[0][1])["artifacts"]
    assert artifact["mac"] == Reader(tmp_path, SECRET).mac(artifact)


def test_shown_seal_matches_its_description():
    seals = (seal.decode(text.encode(), macs_of(text), id=one) for one, text in examples("seal")[:3])
    by_id = {read.id: read for read in seals}

    [artifact] = by_id["7f3a"].artifacts
    assert artifact.sha256 == hashlib.sha256(b"hello\n").hexdigest()
    assert by_id["7f3a"].table("greeting.txt") == hashlib.sha256(b"hello\n").digest()[:16]
    assert artifact.expires_at == layout.expiry("30d", start=by_id["7f3a"].started_at)
    returned = json.loads(by_id["7f3a"].value)
    assert returned == {"__type__": "resultstore.artifact/1", "__value__": msgspec.to_builtins(artifact)}
    assert by_id["8b1c"].value_bytes == b"\xff\x00\x01"
    assert by_id["4e2d"].value_at.sha256 == hashlib.sha256(b"v" * MIB).hexdigest()


def test_the_tombstone_that_is_shown_is_no_success():
    result_id, document = examples("seal")[-1]
    assert seal.decode(document.encode(), macs_of(document), id=result_id).state == seal.DELETED


def test_the_layout_marker_is_what_set_up_writes():
    [(_, document)] = examples("layout")
    ours = LayoutMarker(format=layout.OBJECT_FORMAT, traits=StoreCapabilities())
    assert layout_marker.encode(ours, Macs(SECRET.encode())).decode() == document


def test_shown_keys_match_the_layout():
    rows = re.findall(r"^\| `([^`]+)` \| `(\w\w)` \| `(seals/[^`]+)` \|$", SPECIFICATION, re.MULTILINE)
    assert len(rows) == 3
    for result_id, shard, key in rows:
        assert (layout.shard(result_id), layout.seal_key(result_id)) == (shard, key)


def test_the_retention_classes_are_those_of_the_layout():
    [line] = re.findall(r"`<class>` is a retention class: (.*)\.", SPECIFICATION)
    assert re.findall(r"`(\w+)`", line) == list(layout.RETENTION_S)


def test_shown_digest_table_matches_its_bytes():
    [(_, table)] = examples("table")
    meter = Meter([b"a" * MIB, b"b" * (MIB // 2)])
    assert sum(len(piece) for piece in meter) == MIB * 3 // 2
    assert meter.table == hex_of(table)


def test_the_frames_that_are_shown_hold_their_content():
    stored = hex_of(examples("frames")[0][1])
    assert len(stored) == 44

    def read(start: int, size_bytes: int) -> bytes:
        return stored[start : start + size_bytes]

    table = zstd_frames.FrameTable.read(read, stored_bytes=44, size_bytes=6, what="example")
    assert b"".join(zstd_frames.decompress(table, read)) == b"hello\n"
    assert zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True).read() == b"hello\n"


def test_shown_record_and_event_match_the_code():
    [shown] = re.findall(r"in 36 bytes:\n\n```\n(.*?)```", SPECIFICATION, re.DOTALL)
    stored = b"".join(hex_of(line[:30]) for line in shown.splitlines())
    result = Result(id="7f3a", state=State.SUCCESS, value=b"4", task="tasks.add", created_at=1.5, started_at=2.0)
    assert record.encode(result) == (stored, None)

    event = hex_of(examples("event")[0][1])
    running_result = Result(id="7f3a", state=State.PROGRESS, progress=Progress(3, 10, "page 3"))
    assert record.encode_event(running_result) == event
    assert record.decode_event(event) == Event("7f3a", "PROGRESS", Progress(3, 10, "page 3"))


def test_shown_state_codes_match_the_records():
    rows = re.findall(r"^\| (\d+) \| ([A-Z]+) \|$", SPECIFICATION, re.MULTILINE)
    assert {state: int(code) for code, state in rows} == record.CODE_OF_STATE
