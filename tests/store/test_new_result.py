"""New results: several files outside a task are sealed together, or not at all; and they are found by name."""

import pytest

from resultstore import BadReference, NotYours, Refused, ResultDeleted
from resultstore.store.attempt import Attempt, running


def blobs_of(store) -> list[str]:
    return [one.key for one in store.blobs.list("blobs/")]


def make(store, **options):
    with store.result("invoice-7", **options) as new:
        new.put(b"%PDF-1.7", name="invoice.pdf", metadata={"kind": "invoice"})
        with new.writer(name="lines.csv") as file:
            file.write(b"a,b\n")
    return new


def test_files_are_sealed_together(store):
    new = make(store, owner="alice", retention="7d")
    found = store.load("invoice-7")
    assert found == new.result or found.artifacts == new.result.artifacts
    assert (found.owner, found.state, found.sealed) == ("alice", "SUCCESS", True)
    assert [(one.name, one.owner, one.retention) for one in found.artifacts] == [
        ("invoice.pdf", "alice", "7d"),
        ("lines.csv", "alice", "7d"),
    ]
    assert [store.open(one).read() for one in found.artifacts] == [b"%PDF-1.7", b"a,b\n"]
    assert list(store.ids(owner="alice")) == ["invoice-7"]


def test_nothing_is_readable_before_the_end(store):
    with store.result("invoice-7") as new:
        new.put(b"1", name="a")
        assert store.load("invoice-7") is None
        assert list(store.ids()) == []
        with pytest.raises(Refused, match="after the block"):
            _ = new.result


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_exception_keeps_nothing(store, error):
    def fail():
        with store.result("invoice-7", owner="alice") as new:
            new.put(b"1", name="a")
            raise error

    with pytest.raises(error):
        fail()
    assert store.load("invoice-7") is None
    assert blobs_of(store) == []
    assert [one.key for one in store.blobs.list("seals/")] == []
    make(store)  # the id is free


def test_same_files_again_give_the_first_result(store):
    first = make(store).result
    assert make(store).result.nonce == first.nonce
    assert len(blobs_of(store)) == 2


@pytest.mark.parametrize("files", [{"invoice.pdf": b"other"}, {"invoice.pdf": b"%PDF-1.7"}, {}])
def test_other_files_under_a_sealed_id_are_refused(store, files):
    first = make(store).result

    def again():
        with store.result("invoice-7") as new:
            for name, content in files.items():
                new.put(content, name=name)

    with pytest.raises(BadReference, match="already sealed"):
        again()
    assert store.load("invoice-7").nonce == first.nonce


def test_name_is_taken_once(store):
    with store.result() as new:
        new.put(b"1", name="a")
        with pytest.raises(BadReference, match="already has"):
            new.put(b"2", name="a")
        new.put(b"3", name="b")
    assert [one.name for one in new.result.artifacts] == ["a", "b"]


def test_ended_block_takes_no_file(store):
    new = make(store)
    with pytest.raises(Refused, match="ended"):
        new.put(b"1", name="late")


def test_deleted_id_cannot_be_used_again(store):
    make(store)
    store.delete("invoice-7")
    with pytest.raises(ResultDeleted):
        make(store)
    assert store.load("invoice-7") is None


def test_result_in_a_task_is_its_own(store):
    with running(Attempt("task", owner="alice")) as attempt:
        make(store)
        assert attempt.artifacts == ()
        with pytest.raises(NotYours):
            make(store, owner="bob")
    assert store.load("invoice-7").owner == "alice"


def test_block_changes_nothing_for_other_calls(store):
    with store.result("mine", owner="alice"):
        other = store.put(b"1", name="a", owner="bob")
        assert other.id != "mine"
        assert store.open(other).read() == b"1"


def test_seekable_file_is_taken(store):
    with store.result() as new:
        with new.writer(name="a.bin", seekable=True) as file:
            file.write(b"aXc")
            file.seek(1)
            file.write(b"b")
        assert store.open(new.artifacts[0]).read() == b"abc"


def test_find_by_name_and_metadata(store):
    make(store, owner="alice")
    store.put(b"2", name="b.pdf", id="two", metadata={"kind": "letter", "pages": 2})
    assert sorted(one.name for one in store.find()) == ["b.pdf", "invoice.pdf", "lines.csv"]
    assert sorted(one.name for one in store.find(name="*.pdf")) == ["b.pdf", "invoice.pdf"]
    assert [one.id for one in store.find(metadata={"kind": "letter", "pages": 2})] == ["two"]
    assert list(store.find(metadata={"kind": "letter", "pages": 3})) == []
    assert list(store.find(metadata={"missing": None})) == []
    assert [one.name for one in store.find(name="*.pdf", owner="alice")] == ["invoice.pdf"]
    assert [one.name for one in store.load("invoice-7").find(name="lines.*")] == ["lines.csv"]


def test_find_reads_owned_results_without_records(store):
    make(store, owner="alice")
    store.index.delete("invoice-7")
    assert [one.name for one in store.find(name="*.csv", owner="alice")] == ["lines.csv"]
