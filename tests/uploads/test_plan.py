"""Plan: how a file is cut, and what its sender may call it."""

import pytest

from resultstore.uploads.issuing import file_name
from resultstore.uploads.plan import MAX_BYTES, MIB, Plan


@pytest.mark.parametrize(
    ("size_bytes", "part_size_bytes", "count"),
    [
        (1, 0, 0),
        (16 * MIB, 0, 0),
        (16 * MIB + 1, 8 * MIB, 3),
        (80_000 * MIB, 8 * MIB, 10_000),
        (80_000 * MIB + 1, 9 * MIB, 8_889),
        (MAX_BYTES, 525 * MIB, 9_987),
    ],
)
def test_file_has_at_most_ten_thousand_parts(size_bytes, part_size_bytes, count):
    plan = Plan.of(size_bytes)
    slices = list(plan.slices())

    assert (plan.part_size_bytes, plan.count, len(slices)) == (part_size_bytes, count, count)
    if count:
        assert sum(one.size_bytes for one in slices) == size_bytes
        assert [one.number for one in slices] == list(range(1, count + 1))
        assert {one.size_bytes for one in slices[:-1]} == {part_size_bytes}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.jpg", "cat.jpg"),
        ("a\r\nSet-Cookie: b.jpg", "aSet-Cookie: b.jpg"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("nul\0byte.png", "nulbyte.png"),
        ("..", "upload"),
        ("", "upload"),
        ("/", "upload"),
        ("x" * 4000 + ".jpg", "x" * 251 + ".jpg"),
    ],
)
def test_a_name_is_shown_and_never_a_path(said, shown):
    assert file_name(said) == shown
