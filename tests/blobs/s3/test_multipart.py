"""PartPlan: any stream fits into 10,000 parts, with little memory."""

import os

import pytest

from resultstore.blobs.part_plan import PartPlan, pieces

MIB = 1024 * 1024
GIB = 1024 * MIB


@pytest.mark.parametrize("hint", [None, 0, 65 * MIB, 78 * GIB])
def test_four_parts_of_8_mib_by_default(hint):
    assert PartPlan.of(8 * MIB, size_hint_bytes=hint) == PartPlan(8 * MIB, 4)


@pytest.mark.parametrize(("size_bytes", "hint"), [(8 * MIB, 1), (8 * MIB, 60 * MIB), (5 * MIB, 9 * MIB)])
def test_short_streams_use_the_smallest_parts(size_bytes, hint):
    assert PartPlan.of(size_bytes, size_hint_bytes=hint) == PartPlan(5 * MIB, 4)


@pytest.mark.parametrize("hint", [79 * GIB, 500 * GIB, 5 * 1024 * GIB])
def test_parts_grow_beyond_78_gib(hint):
    plan = PartPlan.of(8 * MIB, size_hint_bytes=hint)

    assert plan.max_bytes >= hint * 1.05
    assert plan.max_bytes < hint * 1.2
    assert plan.in_flight == 2


@pytest.mark.parametrize("sizes", [[], [0], [1] * 3000, [70_000, 1, 1, 5 * MIB, 0, 3], [3 * MIB], [65_535] * 40])
def test_pieces_are_neither_tiny_nor_too_long(sizes):
    chunks = [os.urandom(size) for size in sizes]

    cut = list(pieces(iter(chunks), most_bytes=2 * MIB))

    assert b"".join(cut) == b"".join(chunks)
    assert all(0 < piece.nbytes <= 2 * MIB for piece in cut)
    assert len(cut) <= sum(size >= 65_536 for size in sizes) * 3 + sum(sizes) // MIB + 1


def test_only_mutable_bytes_are_copied():
    fixed, changing = os.urandom(MIB), bytearray(MIB)

    same, view, copy = pieces([fixed, memoryview(fixed), changing], most_bytes=MIB)

    assert same.obj is fixed
    assert view.obj is fixed
    assert copy.obj is not changing
