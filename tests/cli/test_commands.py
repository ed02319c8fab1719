"""Commands: their input, their output and their exit codes."""

import hashlib
import os
import threading
import uuid

import msgspec
import pytest

from resultstore.model import layout, layout_marker
from resultstore.model.result import Failure, Result, State

BODY = os.urandom(3_000_000)


def fresh() -> str:
    return f"cli-{uuid.uuid4().hex}"


def test_put_then_get_returns_the_same_file(place, run):
    (place.folder / "in.bin").write_bytes(BODY)

    put = run("put", "in.bin", "--json")
    got = run("get", put.told["id"], "-o", "out.bin", "--json")

    assert (put.code, got.code) == (0, 0)
    assert put.told["sha256"] == got.told["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert (place.folder / "out.bin").read_bytes() == BODY


def test_a_pipe_is_stored_and_read_back(run):
    put = run("put", "-", "--name", "piped.txt", "--json", stdin=b"from a pipe")

    got = run("get", put.told["id"], "piped.txt", "-o", "-")

    assert (put.told["name"], got.out) == ("piped.txt", b"from a pipe")


def test_names_given_to_put_win(place, run):
    (place.folder / "draft.csv").write_bytes(b"a,b\n")

    made = [
        run("put", "draft.csv", "--json"),
        run("put", "draft.csv", "--name", "sales", "--json"),
        run("put", "draft.csv", "--name", "sales", "--file-name", "Sales 2026.txt", "--json"),
        run("put", "-", "--json", stdin=b"%PDF-1.7"),
    ]

    said = [(one.told["name"], one.told["file_name"], one.told["media_type"]) for one in made]
    assert said == [
        ("draft.csv", "draft.csv", "text/csv"),
        ("sales", "sales.csv", "text/csv"),
        ("sales", "Sales 2026.txt", "text/plain"),
        ("stdin", "stdin.pdf", "application/pdf"),
    ]


def test_a_result_is_shown_and_listed(place, run):
    made = fresh()
    place.store().put(b"hello", name="a.txt", id=made)

    shown, listed = run("show", made, "--json"), run("ls", "--limit", "100000", "--json")

    assert shown.told["state"] == "SUCCESS"
    assert shown.told["artifacts"][0]["size_bytes"] == 5
    assert made in {one["id"] for one in listed.told}
    assert "key" not in shown.told["artifacts"][0]
    assert made in run("show", made).out.decode()


def test_a_failure_is_shown_with_its_reason(place, run):
    made = fresh()
    place.store().save(Result(id=made, state=State.FAILURE, failure=Failure("BadInput", "[red] is no colour")))

    assert "BadInput: [red] is no colour" in run("show", made).out.decode()


def test_a_url_is_printed_alone(place, run):
    made = fresh()
    place.store().put(b"hello", name="a.txt", id=made)

    done = run("url", made, "a.txt")

    assert done.out.startswith(b"http://127.0.0.1:8081/blobs/")
    assert done.out.count(b"\n") == 1


def test_a_url_is_for_the_asked_method(place, run):
    made = fresh()
    place.store().put(b"hello", name="a.txt", id=made)

    head, get, other = (run("url", made, "--method", one) for one in ("head", "GET", "PUT"))

    assert head.out.startswith(b"http://127.0.0.1:8081/blobs/")
    assert head.out != get.out
    assert other.code == 2


def test_download_stays_in_its_folder_and_replaces_nothing(place, run):
    made = fresh()
    artifact = place.store().put(b"new", name="a.txt", id=made)
    evil = msgspec.structs.replace(_named(artifact, "../evil"), id=fresh())
    hostile = Result(id=evil.id, state=State.SUCCESS, artifacts=(place.store().signatures.sign(evil),))
    place.store().save(hostile)
    (place.folder / "a.txt").write_text("old")

    kept, safe = run("get", made), run("get", hostile.id)

    assert kept.code == 2
    assert (place.folder / "a.txt").read_text() == "old"
    assert safe.code == 0
    assert not (place.folder.parent / "evil").exists()


def test_a_fifo_is_written_to(place, run):
    made = fresh()
    place.store().put(BODY, name="a.bin", id=made)
    fifo = place.folder / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    reader.start()

    done = run("get", made, "-o", "fifo")
    reader.join(60)

    assert (done.code, read) == (0, [BODY])
    assert fifo.is_fifo()


def test_an_open_file_is_written_to(place, run):
    made = fresh()
    place.store().put(b"hello", name="a.txt", id=made)

    done = run("get", made, "-o", "/proc/self/fd/1")  # what /dev/stdout is a link to

    assert done.code == 0
    assert done.out.startswith(b"hello")


def test_link_is_followed_and_mode_kept(place, run):
    made = fresh()
    place.store().put(b"new", name="a.txt", id=made)
    target, link, ahead = (place.folder / name for name in ("target", "link", "ahead"))
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    ahead.symlink_to("not-yet-there")

    assert [run("get", made, "-o", name).code for name in ("link", "ahead")] == [0, 0]

    assert (link.is_symlink(), target.read_bytes(), target.stat().st_mode & 0o777) == (True, b"new", 0o640)
    assert (ahead.is_symlink(), (place.folder / "not-yet-there").read_bytes()) == (True, b"new")


def test_circular_links_are_an_error_without_traceback(place, run):
    made = fresh()
    place.store().put(b"new", name="a.txt", id=made)
    circle = place.folder / "circle"
    circle.symlink_to("circle")

    done = run("get", made, "-o", "circle")

    assert (done.code, done.out) == (1, b"")
    assert "circle" in done.err
    assert "Traceback" not in done.err
    assert circle.is_symlink()


def test_damaged_bytes_leave_no_file(place, run):
    made = fresh()
    artifact = place.store().put(BODY, name="a.bin", id=made)
    path = place.folder / "blobs" / artifact.key
    path.chmod(0o600)
    path.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))

    done = run("get", made, "-o", "out.bin")

    assert done.code == 5
    assert "Traceback" not in done.err
    assert {one.name for one in place.folder.iterdir()} == {"blobs"}


@pytest.mark.parametrize("command", ["show", "get", "url"])
def test_unknown_id_exits_with_3(run, command):
    done = run(command, fresh())

    assert (done.code, done.out) == (3, b"")
    assert done.err.count("\n") == 1
    assert "resultstore ls" in done.err


def test_error_is_json_with_json_option(run):
    done = run("show", "none-at-all", "--json")

    assert (done.code, done.out) == (3, b"")
    assert '"error":"ResultMissing"' in done.err
    assert '"exit_code":3' in done.err


@pytest.mark.parametrize("args", [("show",), ("put", "no-such-file"), ("nonsense",), ("ls", "--limit", "many")])
def test_wrong_usage_ends_with_2(run, args):
    done = run(*args)

    assert (done.code, done.out) == (2, b"")
    assert "Traceback" not in done.err


def test_several_artifacts_have_to_be_named(place, run):
    artifact = place.store().put(b"x", name="a.txt", id=fresh())
    own = msgspec.structs.replace(artifact, id=fresh())
    parts = (place.store().signatures.sign(one) for one in (own, _named(own, "b.txt")))
    both = Result(id=own.id, state=State.SUCCESS, artifacts=tuple(parts))
    place.store().save(both)

    done = run("get", both.id)

    assert done.code == 2
    assert "a.txt" in done.err


def test_unreachable_server_exits_with_4_without_its_password(run):
    done = run("ls", RESULTSTORE_INDEX_URL="redis://:hunter2@127.0.0.1:1/0")

    assert (done.code, done.out) == (4, b"")
    assert "127.0.0.1:1" in done.err
    assert "hunter2" not in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "variable",
    [{"RESULTSTORE_URL_EXPIRES_S": "soon"}, {"RESULTSTORE_BLOBS_URL": "ftp://x"}, {"RESULTSTORE_PART_SIZE_BYTES": "1"}],
)
def test_a_wrong_setting_is_named(run, variable):
    done = run("ls", **variable)

    assert done.code in {1, 2}
    assert next(iter(variable)) in done.err
    assert "Traceback" not in done.err


def test_setup_marks_the_place_once(run):
    first, second = run("setup", "--json"), run("setup", "--json")

    assert first.told["layout"] == "format 1, marker written"
    assert second.told["layout"] == "format 1, up to date"


def test_setup_refuses_a_place_of_another_format(place, run):
    store = place.store()
    newer = layout_marker.encode(layout_marker.LayoutMarker(format=99), store.signatures.macs)
    store.blobs.create(layout.LAYOUT_KEY, newer, tags={})

    done = run("setup")

    assert done.code == 1
    assert "99" in done.err


@pytest.mark.parametrize(
    "document", [b'{"format": 99}', b"no JSON", b'{"format":1,"digest":"hmac-sha256:%b"}' % (b"0" * 64)]
)
def test_replaced_layout_is_named_and_mended(place, run, document):
    run("setup")
    blobs = place.store().blobs
    blobs.replace(layout.LAYOUT_KEY, document, tags={})

    refused, examined = run("setup"), run("doctor", "--json")
    put, mended, again = (
        run("put", "-", "--json", stdin=b"content"),
        run("setup", "--mend", "--json"),
        run("setup", "--json"),
    )

    assert refused.code == 5
    assert "layout.json" in refused.err
    assert "setup --mend" in refused.err
    found = next(one for one in examined.told if one["name"] == "layout")
    assert (found["verdict"], "layout.json" in found["text"]) == ("wrong", True)
    assert put.code == 0, "results are stored all the same"
    assert mended.told["layout"] == "format 1, marker replaced: it was not signed with this key"
    assert again.told["layout"] == "format 1, up to date"


def test_layout_of_an_earlier_version_is_signed(place, run):
    place.store().blobs.create(layout.LAYOUT_KEY, b'{"format":1}', tags={})

    examined, first, second = run("doctor", "--json"), run("setup", "--json"), run("setup", "--json")

    assert next(one["verdict"] for one in examined.told if one["name"] == "layout") == "warning"
    assert first.told["layout"] == "format 1, capabilities of the store updated"
    assert second.told["layout"] == "format 1, up to date"


def test_too_long_layout_is_not_read(place, run):
    place.store().blobs.create(layout.LAYOUT_KEY, b'{"format":1}' + b" " * 70_000, tags={})

    done = run("setup")

    assert done.code == 5
    assert "longer" in done.err


def test_help_tells_the_exit_codes(run):
    assert "Exit codes" in run("--help").out.decode()


def _named(artifact, name):
    return msgspec.structs.replace(artifact, name=name.rpartition("/")[2], file_name=name)
