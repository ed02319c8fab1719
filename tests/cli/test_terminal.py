"""Names from clients are printed as text without control characters, in any terminal encoding."""

import re
import uuid

import pytest

from resultstore.model.result import Failure, Progress, Result, State

ESC, CSI, TURNED = "\x1b]0;owned\x07\x1b[31m", "\x9b31m", "\u202e"
HOSTILE = f"[/] [bold]{ESC}{CSI}{TURNED}\\"
OBEYED = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{TURNED}]")


@pytest.fixture
def hostile(place) -> str:
    """The id of a failed Result whose every word is hostile."""
    made = f"cli-{uuid.uuid4().hex}"
    failure = Failure(f"Bad{HOSTILE}", f"column {HOSTILE} is not there")
    place.store().save(Result(id=made, state=State.FAILURE, task=f"task {HOSTILE}", failure=failure, owner=made))
    return made


@pytest.mark.parametrize("args", [("show",), ("show", "--json"), ("get",), ("url",)])
def test_words_of_others_control_no_terminal(hostile, run, args):
    done = run(args[0], hostile, *args[1:])

    assert "Traceback" not in done.err
    assert not OBEYED.search((done.out.decode() + done.err).replace("\n", ""))
    if args[0] == "show":
        assert done.code == 0
        assert "[/] [bold]" in done.out.decode()


def test_a_list_of_hostile_words_is_printed(hostile, run):
    for args in (("ls", "--owner", hostile), ("ls", "--owner", hostile, "--json")):
        done = run(*args)

        assert (done.code, done.err) == (0, "")
        assert hostile in done.out.decode()
        assert not OBEYED.search(done.out.decode().replace("\n", ""))


def test_json_means_the_same_with_its_controls_escaped(hostile, run):
    assert run("show", hostile, "--json").told["task"] == f"task {HOSTILE}"


def test_progress_and_state_are_text(place, run):
    made = f"cli-{uuid.uuid4().hex}"
    place.store().save(Result(id=made, state=f"STEP [/x]{ESC}", progress=Progress(1, 2, HOSTILE)))

    done = run("show", made)

    assert done.code == 0
    assert "1 of 2 [/] [bold]" in done.out.decode()
    assert not OBEYED.search(done.out.decode().replace("\n", ""))


def test_names_in_markup_are_names(place, run):
    made = f"cli-{uuid.uuid4().hex}"
    with_markup = "a [red] [bold] :smile:.txt"
    (place.folder / with_markup).write_bytes(b"x" * 2_000_000)

    put = run("put", with_markup, "--id", made)
    shown = run("show", made)
    wrong = run("get", made, "[/no]")

    assert (put.code, shown.code, wrong.code) == (0, 0, 3)
    assert with_markup in put.out.decode()
    assert with_markup in shown.out.decode()
    assert "[/no]" in wrong.err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_characters_that_the_terminal_lacks_are_escaped(place, run, encoding):
    made = f"cli-{uuid.uuid4().hex}"
    name = "\u65e5\u672c.txt"
    (place.folder / name).write_bytes(b"x")

    put = run("put", name, "--id", made, PYTHONIOENCODING=encoding)
    shown = run("show", made, PYTHONIOENCODING=encoding)
    listed = run("show", made, "--json", PYTHONIOENCODING=encoding)

    assert (put.code, shown.code, put.err, shown.err) == (0, 0, "", "")
    assert b"\\u65e5\\u672c.txt" in put.out
    assert b"\\u65e5\\u672c.txt" in shown.out
    assert listed.told["artifacts"][0]["name"] == name
