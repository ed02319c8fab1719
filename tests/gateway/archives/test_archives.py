"""Archives: several Results as one ZIP, for callers who may see them, complete or visibly broken."""

import io
import subprocess
import time
import zipfile
from http import HTTPStatus

import httpx
import msgspec
import pytest

from resultstore.gateway.archives import routes, slots
from resultstore.gateway.archives.contents import Entry, zip_of
from resultstore.model import layout
from resultstore.model.result import Failure, Result, State

LINK_LIMIT_S = 20.0
BLOCK = bytes(1 << 20)
GIB = 1 << 30


@pytest.fixture
def archive_slots(monkeypatch):
    """Return a function that returns the slots of the gateway that is served afterwards."""
    made = []

    class Kept(slots.ArchiveSlots):
        def __init__(self, at_once):
            super().__init__(at_once)
            made.append(self)

    monkeypatch.setattr(routes, "ArchiveSlots", Kept)
    return lambda: made[-1]


def link_of(served, *ids, **more):
    answer = served.gateway.post("/v1/archives", json={"results": list(ids)}, **more)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    return answer.json()


def test_zip_holds_files_of_all_results(served, tmp_path):
    texts = {"one": b"1", "two": b"22", "three": b""}
    for name, text in texts.items():
        served.store.put(text, name="Ärger 日.txt" if name == "one" else "a.txt", id=name)

    link = link_of(served, "one", "two", "three", "two")
    answer = served.gateway.get(link["url"])

    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="results-')
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {one.filename: archive.read(one) for one in archive.infolist()} == {
            "Ärger 日.txt": b"1",
            "a.txt": b"22",
            "a (2).txt": b"",
        }
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
    assert (link["files"], link["size_bytes"]) == (3, 3)
    saved = tmp_path / "saved.zip"
    saved.write_bytes(answer.content)
    assert (
        "No errors detected"
        in subprocess.run(["unzip", "-t", saved], capture_output=True, text=True, check=True).stdout
    )


def test_names_that_differ_in_case_are_numbered(served):
    served.store.put(b"1", name="Photo.JPG", id="one")
    served.store.put(b"2", name="photo.jpg", id="two")
    served.store.put(b"3", name="PHOTO.jpg", id="three")

    content = served.gateway.get(link_of(served, "one", "two", "three")["url"]).content

    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["Photo.JPG", "photo (2).jpg", "PHOTO (3).jpg"]


def test_link_needs_no_token_but_asking_does(served_with_tokens):
    served, token_of = served_with_tokens
    ann, bob = ({"Authorization": f"Bearer {token_of(one, 'read')}"} for one in ("ann", "bob"))
    made = served.store.put(b"secret", name="a.txt", id="anns")
    signed = served.store.signatures.sign(msgspec.structs.replace(made, id="owned", owner="ann", mac=""))
    served.store.save(Result(id="owned", state=State.SUCCESS, owner="ann", artifacts=(signed,)))
    asked = {"json": {"results": ["owned"]}}

    assert served.gateway.post("/v1/archives", **asked).status_code == HTTPStatus.UNAUTHORIZED
    foreign = served.gateway.post("/v1/archives", **asked, headers=bob)
    unknown = served.gateway.post("/v1/archives", json={"results": ["nope"]}, headers=bob)
    assert foreign.status_code == unknown.status_code == HTTPStatus.NOT_FOUND
    assert foreign.json()["slug"] == unknown.json()["slug"] == "result-missing"
    link = link_of(served, "owned", headers=ann)
    assert b"secret" in served.gateway.get(link["url"]).content
    served.store.index.delete("owned")
    bobs = served.store.signatures.sign(msgspec.structs.replace(made, id="owned", owner="bob", mac=""))
    served.store.save(Result(id="owned", state=State.SUCCESS, owner="bob", artifacts=(bobs,)))
    assert served.gateway.get(link["url"]).status_code == HTTPStatus.NOT_FOUND, "it is another owner's now"


@pytest.mark.parametrize("ticket", ["0" * 32, "", "é" * 10, "x" * 101])
def test_unknown_link_gives_no_archive(served, ticket):
    answer = served.gateway.get("/v1/archives", params={"ticket": ticket})

    assert answer.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}


def test_forged_ticket_gives_no_archive(served_with_tokens):
    served, token_of = served_with_tokens
    served.store.put(b"1", name="a.txt", id="one")
    headers = {"Authorization": f"Bearer {token_of('root', 'read', 'admin')}"}
    link = link_of(served, "one", headers=headers)
    assert served.gateway.get(link["url"]).status_code == HTTPStatus.OK
    keys, key = served.store.index.keys, layout.archive_key(link["url"].rpartition("=")[2])

    keys.keep(key, keys.read(key).replace(b"root", b"boss"), ttl_s=60)

    assert served.gateway.get(link["url"]).json()["slug"] == "archive-missing"


def test_deleted_result_ends_the_link(served):
    served.store.put(b"1", name="a.txt", id="one")
    served.store.put(b"2", name="b.txt", id="two")
    link = link_of(served, "one", "two")
    served.store.delete("two")

    answer = served.gateway.get(link["url"])

    assert (answer.status_code, answer.json()["slug"]) == (HTTPStatus.NOT_FOUND, "archive-missing")


def test_unfinished_result_is_refused(served):
    served.store.save(Result(id="bad", state=State.FAILURE, failure=Failure("ValueError", "no")))

    answer = served.gateway.post("/v1/archives", json={"results": ["bad"]})

    assert (answer.status_code, answer.json()["slug"]) == (HTTPStatus.CONFLICT, "not-finished")


def test_damaged_file_breaks_the_download(served, tmp_path):
    served.store.put(BLOCK * 3, name="good.bin", id="good")
    damaged = served.store.put(BLOCK * 3, name="bad.bin", id="bad")
    path = tmp_path / "blobs" / damaged.key
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    link = link_of(served, "good", "bad")

    got = bytearray()
    with pytest.raises(httpx.RemoteProtocolError), served.gateway.stream("GET", link["url"]) as answer:
        for chunk in answer.iter_raw():
            got += chunk

    assert len(got) < int(answer.headers["content-length"]) - (1 << 20)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(bytes(got)))


def test_client_that_leaves_frees_everything(archive_slots, served):
    served.store.put((BLOCK for _ in range(64)), name="large.bin", id="large")
    link = link_of(served, "large")

    with served.gateway.stream("GET", link["url"]) as answer:
        next(answer.iter_raw())
        assert archive_slots().used == 1

    until = time.monotonic() + LINK_LIMIT_S
    while archive_slots().used or archive_slots().threads.borrowed_tokens:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert not archive_slots()._owners


def test_too_many_archives_at_once_are_refused(served):
    served.store.put((BLOCK for _ in range(64)), name="large.bin", id="large")
    link = link_of(served, "large")

    with httpx.Client(base_url=served.gateway.base_url) as client:
        streams = [client.stream("GET", link["url"]) for _ in range(slots.PER_OWNER)]
        for one in streams:
            one.__enter__()
        refused = served.gateway.get(link["url"])
        for one in streams:
            one.__exit__(None, None, None)

    assert (refused.status_code, refused.json()["slug"]) == (HTTPStatus.TOO_MANY_REQUESTS, "quota")
    assert int(refused.headers["retry-after"]) > 0


def test_archive_over_the_limit_is_refused(serving, orders, tmp_path):
    with serving(tmp_path, orders, archive_max_bytes=10) as served:
        served.store.put(b"12345678901", name="a.txt", id="one")

        answer = served.gateway.post("/v1/archives", json={"results": ["one"]})

    assert (answer.status_code, answer.json()["slug"]) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large")
    assert "select fewer results" in answer.json()["detail"]


def test_file_over_four_gib_is_zip64(served, monkeypatch, tmp_path):
    made = served.store.put(b"0", name="huge.bin", id="huge")
    huge = msgspec.structs.replace(made, size_bytes=4 * GIB + 5)
    monkeypatch.setattr(served.store, "open", lambda _: Zeros(huge.size_bytes))
    archive = zip_of(served.store, [Entry("huge.bin", huge), Entry("huge 2.bin", huge)])
    length = len(archive)

    with (tmp_path / "sparse.zip").open("wb") as file:
        for chunk in archive:
            file.seek(len(chunk), io.SEEK_CUR) if chunk == BLOCK else file.write(chunk)

    assert (tmp_path / "sparse.zip").stat().st_size == length
    with zipfile.ZipFile(tmp_path / "sparse.zip") as opened:
        assert [one.file_size for one in opened.infolist()] == [huge.size_bytes] * 2
        with opened.open("huge 2.bin") as last:
            assert last.read(10) == bytes(10)


class Zeros(io.RawIOBase):
    """A file of so many zeros, of which no byte is stored."""

    def __init__(self, size_bytes):
        self._left = size_bytes

    def read(self, size=-1):
        taken = min(size, self._left)
        self._left -= taken
        return BLOCK if taken == len(BLOCK) else bytes(taken)


def test_refused_archive_reads_nothing(archive_slots, served, monkeypatch):
    served.store.put(b"1", name="a.txt", id="one")
    link = link_of(served, "one")
    owner = served.gateway.get("/v1/session").json()["owner"]
    taken = [archive_slots().take(owner) for _ in range(slots.PER_OWNER)]
    looked_up, load = [], served.store.load_many
    monkeypatch.setattr(served.store, "load_many", lambda ids: looked_up.append(ids) or load(ids))

    refused = served.gateway.get(link["url"])
    for one in taken:
        one.release()
        one.release()
    answer = served.gateway.get(link["url"])

    assert (refused.status_code, answer.status_code) == (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.OK)
    assert len(looked_up) == 1


def test_failed_archive_leaves_its_slot(archive_slots, served):
    served.store.put(b"1", name="a.txt", id="one")
    link = link_of(served, "one")
    served.store.delete("one")

    answers = {served.gateway.get(link["url"]).status_code for _ in range(slots.PER_OWNER + 1)}

    assert answers == {HTTPStatus.NOT_FOUND}
    assert archive_slots().used == 0
