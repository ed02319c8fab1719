"""Seekable zstd: compressed streams that can be read at any position, and by every zstd decoder."""

import io
import itertools
import json
import random
import threading
import tracemalloc
from contextlib import closing

import pytest
import zstandard
from hypothesis import given, settings, strategies as st

from resultstore.blobs import zstd_frames
from resultstore.blobs.zstd_frames import FRAME_BYTES, FrameTable, compress, decompress
from resultstore.model.errors import ChecksumMismatch

MIB = 1 << 20
TABLE_BYTES = 8 + 8 * 3 + 9  # of three frames


def records(size_bytes):
    rows = (json.dumps({"row": n, "name": f"name {n % 97}", "value": n * 0.37}) for n in itertools.count())
    return "\n".join(itertools.islice(rows, size_bytes // 40)).encode().ljust(size_bytes, b"\n")[:size_bytes]


TEXT = records(2 * MIB + 12_345)
NOISE = random.Random(7).randbytes(2 * MIB + 12_345)


class Blob:
    """Stored bytes that remember what was read of them."""

    def __init__(self, stored):
        self.stored = bytes(stored)
        self.reads = []

    def read(self, start, size_bytes):
        self.reads.append((start, size_bytes))
        return self.stored[start : start + size_bytes]

    def table(self, size_bytes):
        return FrameTable.read(
            self.read, stored_bytes=len(self.stored), size_bytes=size_bytes, what="artifact x of 7f3a"
        )


def packed(content, **options):
    return Blob(b"".join(compress([content], **options)))


def unpacked(blob, content_bytes, **span):
    return b"".join(decompress(blob.table(content_bytes), blob.read, **span))


@pytest.mark.parametrize(
    "content",
    [b"", b"x", TEXT, NOISE, TEXT[:MIB], TEXT[: MIB + 1], TEXT[: MIB - 1], bytes(2 * MIB)],
    ids=["empty", "one", "text", "noise", "1 MiB", "1 MiB + 1", "1 MiB - 1", "zeros"],
)
def test_what_was_packed_is_what_is_unpacked(content):
    assert unpacked(packed(content), len(content)) == content


@pytest.mark.parametrize("content", [b"", TEXT, NOISE], ids=["empty", "text", "noise"])
def test_any_zstd_decoder_reads_the_stream(content):
    blob = packed(content)

    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blob.stored), read_across_frames=True)

    assert reader.read() == content


def test_the_seek_table_is_the_published_one():
    blob = packed(TEXT)

    table = blob.stored[-TABLE_BYTES:]

    assert table[:8] == bytes.fromhex("5e2a4d18") + (TABLE_BYTES - 8).to_bytes(4, "little")
    assert table[-9:] == (3).to_bytes(4, "little") + b"\0" + bytes.fromhex("b1ea928f")
    sizes = [int.from_bytes(table[at : at + 4], "little") for at in range(8, TABLE_BYTES - 9, 4)]
    assert sizes[1::2] == [MIB, MIB, 12_345]
    assert sum(sizes[::2]) == len(blob.stored) - TABLE_BYTES


def test_the_cut_of_the_chunks_does_not_show():
    cuts = (0, 0, 1, 70_001, MIB, MIB, 2 * MIB + 7, len(TEXT))
    pieces = [memoryview(TEXT)[a:b] for a, b in itertools.pairwise(cuts)]

    assert b"".join(compress(pieces)) == packed(TEXT).stored


def test_wide_view_is_compressed_bytewise():
    wide = memoryview(TEXT[:1_200_000]).cast("I")

    assert packed(wide).stored == packed(TEXT[:1_200_000]).stored


TEXT_BLOB = packed(TEXT)


@given(start=st.integers(0, len(TEXT) + 10), size_bytes=st.none() | st.integers(0, len(TEXT) + 10))
@settings(max_examples=60, deadline=None)
def test_any_range_is_the_range_of_the_content(start, size_bytes):
    expected = TEXT[start:] if size_bytes is None else TEXT[start : start + size_bytes]

    assert unpacked(TEXT_BLOB, len(TEXT), start=start, size_bytes=size_bytes) == expected


def test_many_frames_come_out_in_order():
    content = random.Random(3).randbytes(12 * MIB + 5)

    assert unpacked(packed(content, threads=2), len(content)) == content


def test_a_small_range_reads_only_its_own_frame():
    blob = packed(NOISE)
    table = blob.table(len(NOISE))
    blob.reads.clear()

    found = b"".join(decompress(table, blob.read, start=MIB + 5, size_bytes=10))

    assert found == NOISE[MIB + 5 : MIB + 15]
    assert blob.reads == [(table.ends[0], table.ends[1] - table.ends[0])]


def test_reads_are_of_bounded_size():
    content = random.Random(1).randbytes(MIB) * 20
    blob = packed(content)

    assert unpacked(blob, len(content)) == content
    assert len(blob.reads) == 4
    assert max(size_bytes for _, size_bytes in blob.reads) <= 8 * MIB


def test_text_shrinks_and_noise_hardly_grows():
    assert len(packed(TEXT).stored) < len(TEXT) / 3
    assert len(packed(NOISE).stored) < len(NOISE) + 200


def test_incompressible_frames_use_the_cheapest_level(monkeypatch):
    levels = []
    packer = zstd_frames._packer
    monkeypatch.setattr(zstd_frames, "_packer", lambda level: levels.append(level) or packer(level))

    packed(NOISE[:MIB], level=3)
    packed(TEXT[:MIB], level=3)

    assert levels == [3, -7, 3, 3]


def test_failing_producer_raises_and_ends_the_threads():
    before = threading.active_count()
    error = ValueError("broken")

    def fails():
        yield TEXT
        yield TEXT
        raise error

    with pytest.raises(ValueError, match="broken") as raised:
        list(compress(fails()))

    assert raised.value is error
    assert threading.active_count() == before


def test_threads_decompress_in_order_and_end_after_damage():
    content = random.Random(4).randbytes(9 * MIB + 5)
    blob, before = packed(content, threads=2), threading.active_count()

    assert unpacked(blob, len(content), threads=3) == content
    assert unpacked(blob, len(content), start=MIB + 7, size_bytes=5 * MIB, threads=3) == content[MIB + 7 :][: 5 * MIB]
    assert threading.active_count() == before

    damaged = bytearray(blob.stored)
    damaged[4 * MIB] ^= 1
    with pytest.raises(ChecksumMismatch):
        unpacked(Blob(damaged), len(content), threads=3)
    assert threading.active_count() == before


def test_a_consumer_that_stops_leaves_no_thread():
    before = threading.active_count()

    with closing(compress(itertools.repeat(TEXT), threads=3)) as stream:
        next(stream)
        assert before < threading.active_count() <= before + 3

    assert threading.active_count() == before


def test_a_slow_consumer_holds_the_producer_back():
    taken = itertools.count()
    endless = (TEXT[:MIB] for _ in taken)
    stream = compress(endless, threads=2)

    next(stream)

    assert next(taken) <= 5
    stream.close()


def test_memory_stays_bounded_while_packing():
    chunks = (NOISE[:MIB] for _ in range(200))
    tracemalloc.start()

    for _ in compress(chunks, threads=2):
        pass

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 16 * MIB


@pytest.mark.parametrize("position", [0, 9, 500, -TABLE_BYTES, -TABLE_BYTES + 4, -TABLE_BYTES + 9, -9, -5, -1])
@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_flipped_bit_is_always_an_error(position, flip):
    stored = bytearray(packed(TEXT).stored)
    stored[position] ^= flip

    with pytest.raises(ChecksumMismatch, match="artifact x of 7f3a"):
        unpacked(Blob(stored), len(TEXT))


@pytest.mark.parametrize("kept", [0, 5, 40, 1000, -1])
def test_a_cut_blob_is_an_error(kept):
    with pytest.raises(ChecksumMismatch):
        unpacked(Blob(packed(TEXT).stored[:kept]), len(TEXT))


def test_bytes_outside_the_table_are_an_error():
    stored = packed(TEXT).stored

    with pytest.raises(ChecksumMismatch, match="add up"):
        Blob(stored[:-TABLE_BYTES] + b"junk" + stored[-TABLE_BYTES:]).table(len(TEXT))


def test_short_answer_of_the_store_is_an_error():
    blob = packed(TEXT)
    table = blob.table(len(TEXT))

    with pytest.raises(ChecksumMismatch, match="ends early"):
        list(decompress(table, lambda start, size_bytes: blob.read(start, size_bytes)[:-1]))


@pytest.mark.parametrize("size_bytes", [0, 1, MIB, len(TEXT) - 1, len(TEXT) + 1, 2**50])
def test_a_table_for_another_length_is_an_error(size_bytes):
    with pytest.raises(ChecksumMismatch):
        packed(TEXT).table(size_bytes)


def test_swapped_frames_of_other_lengths_are_an_error():
    blob = packed(TEXT)
    table = blob.table(len(TEXT))
    swapped = FrameTable(table.what, table.ends, len(TEXT) - 1)

    with pytest.raises(ChecksumMismatch, match="frame 2"):
        list(decompress(swapped, blob.read))


def bomb(claimed_bytes, content_bytes):
    """A blob of one frame: the table says 1 MiB, its header says `claimed_bytes`, it holds `content_bytes` of zeros."""
    packer = zstandard.ZstdCompressor(level=19, write_content_size=claimed_bytes is not None)
    stream = packer.compressobj(size=content_bytes)
    frame = b"".join(stream.compress(bytes(MIB)) for _ in range(content_bytes // MIB)) + stream.flush()
    if claimed_bytes is not None and claimed_bytes != content_bytes:
        frame = frame.replace(content_bytes.to_bytes(4, "little"), claimed_bytes.to_bytes(4, "little"), 1)
        assert zstandard.frame_content_size(frame) == claimed_bytes
    return Blob(frame + zstd_frames._seek_table(zstd_frames._ENTRY.pack(len(frame), FRAME_BYTES)))


@pytest.mark.parametrize("claimed_bytes", [None, MIB, 256 * MIB], ids=["says nothing", "lies", "says so"])
def test_frame_with_false_length_takes_no_memory(claimed_bytes):
    blob = bomb(claimed_bytes, 256 * MIB)
    table = blob.table(MIB)
    tracemalloc.start()

    with pytest.raises(ChecksumMismatch, match="frame 0"):
        list(decompress(table, blob.read))

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 3 * MIB


def test_table_with_an_oversized_frame_is_refused_unread():
    table = zstd_frames._seek_table(zstd_frames._ENTRY.pack(3 << 30, MIB))
    reads = []

    def read(start, size_bytes):
        reads.append(size_bytes)
        return table

    with pytest.raises(ChecksumMismatch, match="impossible length"):
        FrameTable.read(read, stored_bytes=(3 << 30) + len(table), size_bytes=MIB, what="x")
    assert reads == [len(table)]
