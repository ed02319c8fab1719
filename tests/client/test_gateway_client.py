"""The gateway's client against a real gateway and its bytes listener, over connections that break."""

import hashlib
import socket
import threading
from contextlib import contextmanager

import httpx
import pytest
import zstandard

from resultstore import ArtifactMissing, ChecksumMismatch, Offer, ResultMissing, Settings, State, Store, TaskMissing
from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner
from resultstore.client import GatewayClient, GatewayUnavailable, RequestRefused, downloader, requests
from resultstore.client.answers import RemoteArtifact
from resultstore.gateway import create_app, create_bytes_app
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, running as running_attempt
from tests.gateway.conftest import OFFERS, SECRET, Orders, granted, running

MIB = 1024 * 1024
HEAD = b"\x89PNG\r\n\x1a\n" + bytes.fromhex("0000000d4948445200000001000000010802000000907753de")
LARGE = HEAD + bytes(range(256)) * (4 * 20 * 1024)  # three parts
OFFERED = {**OFFERS, "keep": Offer(task="keep", title="Keep", takes=("image/*",))}


class Shaky(httpx.HTTPTransport):
    """Breaks the connection of chosen requests, before or after the server has answered, and counts."""

    def __init__(self):
        super().__init__()
        self.breaks = []  # (method, part of the path, how)
        self.broken = 0
        self.sent = []
        self.lock = threading.Lock()

    def handle_request(self, request):
        with self.lock:
            self.sent.append(request)
            found = next((one for one in self.breaks if one[0] == request.method and one[1] in str(request.url)), None)
            if found is not None:
                self.breaks.remove(found)
                self.broken += 1
        if found is None:
            return super().handle_request(request)
        if found[2] == "before":
            raise httpx.ConnectError("broken", request=request)
        answer = super().handle_request(request)
        if found[2] == "halfway":
            return httpx.Response(answer.status_code, headers=answer.headers, stream=Halfway(answer))
        answer.read()
        raise httpx.ReadError("broken", request=request)


class Halfway(httpx.SyncByteStream):
    def __init__(self, answer):
        self.answer = answer

    def __iter__(self):
        body = self.answer.read()
        yield body[: len(body) // 2]
        raise httpx.ReadError("broken")


class Served:
    def __init__(self, store, orders, client, transport):
        self.store, self.orders, self.client, self.transport = store, orders, client, transport

    def finish(self, result_id, content=b"made", **kept):
        """Do the worker's part."""
        attempt = Attempt(result_id, owner="ann")
        with running_attempt(attempt):
            self.store.put(content, name="out.txt", **kept)
        self.store.save(self.store.seal(attempt, value=b"1"))


@contextmanager
def serving(tmp_path):
    orders, transport = Orders(), Shaky()
    gateway, by_bytes = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    url, bytes_url = (f"http://127.0.0.1:{one.getsockname()[1]}" for one in (gateway, by_bytes))
    blobs, signer = LocalBlobs(tmp_path / "blobs"), LocalSigner(SECRET, bytes_url)
    file = tmp_path / "tokens"
    token = granted(file, "ann", "read", "upload", "run", "delete", "share")
    chosen = {"auth": "tokens", "auth_tokens_file": str(file), "secret_key": "k" * 32}
    store = Store(
        index=MemoryIndex(),
        blobs=blobs,
        signer=signer,
        settings=Settings(index_url="memory://", gateway_port=0, **chosen),
    )
    orders.store = store
    app = create_app(store, dispatcher=orders, offers=OFFERED)
    with (
        running((app, gateway), (create_bytes_app(blobs, signer), by_bytes)),
        httpx.Client(transport=transport, timeout=30) as http,
        GatewayClient(url, token=token, http=http) as client,
    ):
        yield Served(store, orders, client, transport)


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "_FIRST_PAUSE_S", 0.001)
    with serving(tmp_path) as served:
        yield served


def stored(served, result_id):
    source = served.store.load(result_id).artifact("input")
    return b"".join(served.store.blobs.get(source.key))


def test_a_small_file_starts_its_task_and_comes_back(served, tmp_path):
    path = tmp_path / "a picture.png"
    path.write_bytes(HEAD)
    seen = []

    result = served.client.submit(path, task="shrink", report=lambda *now: seen.append(now))
    assert stored(served, result.id) == HEAD
    served.finish(result.id)
    done = served.client.wait(result.id, timeout_s=30)
    target = served.client.download(done, "out.txt", str(tmp_path / "made.txt"))

    assert [(one.id, one.task, one.owner) for one in served.orders.sent] == [(result.id, "shrink", "ann")]
    assert (done.state, target.read_bytes(), seen) == ("SUCCESS", b"made", [(len(HEAD), len(HEAD))])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a picture.png", "blobs", "made.txt", "tokens"]


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_large_file_arrives_over_broken_connections(served, how):
    tries = [("POST", "/v1/uploads", how), ("PUT", "", how), ("PUT", "", how), ("GET", "/v1/uploads", how)]
    served.transport.breaks = [*tries, ("POST", "/complete", how)]

    result = served.client.submit(LARGE, task="keep", name="a.png")

    assert served.transport.broken == 5
    assert stored(served, result.id) == LARGE
    assert len(served.orders.sent) == 1
    assert len(list(served.store.index.listing.ids(owner="ann"))) == 1, "no second upload was begun"


def test_an_interrupted_upload_is_resumed(served):
    served.transport.breaks = [("PUT", "", "before")] * (3 * requests.TRIES)
    with pytest.raises(GatewayUnavailable, match="tries"):
        served.client.submit(LARGE, task="keep", name="a.png")
    [upload_id] = served.store.index.listing.ids(owner="ann")
    served.transport.breaks = []
    served.transport.sent.clear()

    result = served.client.resume(upload_id, LARGE)

    assert result.id == upload_id
    assert stored(served, upload_id) == LARGE


def test_parts_that_arrived_are_not_sent_again(served):
    served.transport.breaks = [("PUT", "&part=2", "before")] * requests.TRIES
    with pytest.raises(GatewayUnavailable):
        served.client.submit(LARGE, task="keep", name="a.png")
    [upload_id] = served.store.index.listing.ids(owner="ann")
    served.transport.breaks = []
    served.transport.sent.clear()
    served.client.resume(upload_id, LARGE)

    sent = [one for one in served.transport.sent if one.method == "PUT"]
    assert [one.url.params["part"] for one in sent] == ["2"]
    assert stored(served, upload_id) == LARGE


def test_the_token_goes_to_the_gateway_only(served, tmp_path):
    result = served.client.submit(HEAD, task="shrink", name="a.png")
    served.finish(result.id)
    served.client.download(served.client.result(result.id), "out.txt", tmp_path / "x")

    by_port = {one.url.port: "authorization" in one.headers for one in served.transport.sent}
    assert sorted(by_port.values()) == [False, True]


def test_a_download_goes_on_after_a_break(served, tmp_path):
    content = bytes(range(256)) * 4096
    served.finish("done", content)
    served.transport.breaks = [("GET", "blobs", "halfway")]

    served.client.download(served.client.result("done"), "out.txt", tmp_path / "x")

    assert served.transport.broken == 1
    assert (tmp_path / "x").read_bytes() == content
    assert [one.headers["range"] for one in served.transport.sent if "range" in one.headers] == [f"bytes={MIB // 2}-"]


def test_a_compressed_output_is_decoded_and_verified(served, tmp_path):
    served.finish("done", b"a,b\n" * 1_000_000, compress=True)

    served.client.download(served.client.result("done"), "out.txt", tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == b"a,b\n" * 1_000_000


def test_a_damaged_download_never_appears(served, tmp_path):
    served.finish("done", b"right")
    [key] = [one.key for one in served.store.blobs.list("blobs/")]
    (tmp_path / "blobs" / key).chmod(0o600)
    (tmp_path / "blobs" / key).write_bytes(b"wrong")
    (tmp_path / "x").write_bytes(b"before")

    with pytest.raises(ChecksumMismatch):
        served.client.download(served.client.result("done"), "out.txt", tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == b"before"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["blobs", "tokens", "x"]


def test_a_task_without_file_starts_once(served):
    served.transport.breaks = [("POST", "/v1/tasks", "after")]

    result = served.client.start("greet", {"name": "ann"})

    assert served.transport.broken == 1
    assert [one.id for one in served.orders.sent] == [result.id]
    served.client.cancel(result.id)
    assert served.orders.cancelled == [result.id]


def test_events_go_on_where_they_broke_off(served):
    served.finish("first")
    events = served.client.events()
    snapshot = next(events)
    served.store.save(Result(id="second", state=State.STARTED, owner="ann"))
    second = next(events)
    events.close()

    served.store.save(Result(id="third", state=State.STARTED, owner="ann"))
    resumed = next(served.client.events(after=second.position))

    assert (snapshot.kind, [one.id for one in snapshot.results]) == ("snapshot", ["first"])
    assert (second.kind, second.id, second.results[0].state) == ("result", "second", "STARTED")
    assert (resumed.kind, resumed.id) == ("result", "third")


def test_results_are_listed_and_deleted(served):
    for number in range(3):
        served.finish(f"n{number}")

    assert {one.id for one in served.client.results(state="SUCCESS")} == {"n0", "n1", "n2"}
    served.client.delete("n1")
    assert {one.id for one in served.client.results()} == {"n0", "n2"}


def test_a_share_link_leads_to_the_output(served):
    served.finish("done")
    url = served.client.share("done", "out.txt", max_uses=1)
    assert httpx.get(url, follow_redirects=True).content == b"made"
    assert httpx.get(url).status_code == 410


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda client: client.result("unknown id"), ResultMissing),
        (lambda client: client.link("done", "other"), ArtifactMissing),
        (lambda client: client.download(client.result("done"), "other", "x"), ArtifactMissing),
        (lambda client: client.start("nothing"), TaskMissing),
        (lambda client: client.submit(b"x", task="nothing"), TaskMissing),
        (lambda client: client.retry("done"), RequestRefused),
        (lambda client: client.submit(b"x", task="shrink", name="a.txt"), RequestRefused),
    ],
)
def test_refusals_are_the_packages_errors(served, ask, error):
    served.finish("done")
    with pytest.raises(error) as refused:
        ask(served.client)
    if error is RequestRefused:
        assert (refused.value.status, refused.value.slug) in {(409, "not-repeatable"), (415, "wrong-type")}


def test_waiting_ends_in_time(served):
    result = served.client.start("greet", {"name": "ann"})
    with pytest.raises(TimeoutError, match=f"{result.id} is PENDING"):
        served.client.wait(result.id, timeout_s=0.05)


def test_what_is_no_file_is_refused(served):
    for wrong in (5, None, open(__file__)):  # noqa: PTH123, SIM115 - a text file
        with pytest.raises(TypeError if wrong == "" else Exception, match="seekable binary file"):
            served.client.submit(wrong, task="keep")
    assert served.transport.sent == []


def test_the_digest_that_is_declared_is_that_of_the_file(served):
    served.client.submit(LARGE, task="keep", name="a.png")
    assert hashlib.sha256(LARGE).hexdigest().encode() in served.transport.sent[0].content


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "zstd"])
def test_a_download_ends_where_it_is_too_long(tmp_path, monkeypatch, packed):
    body = [zstandard.compress(bytes(8 * MIB))] if packed else (bytes(MIB) for _ in range(10_000))
    kind = "application/zstd" if packed else "text/plain"
    artifact = RemoteArtifact(
        name="a", file_name="a", size_bytes=5, media_type="text/plain", sha256=hashlib.sha256(b"right").hexdigest()
    )
    written = []
    monkeypatch.setattr(downloader, "_digest", lambda path: written.append(path.stat().st_size))
    answering = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers={"Content-Type": kind}))

    with httpx.Client(transport=answering) as http, pytest.raises(ChecksumMismatch):
        downloader.download(http, artifact, tmp_path / "x", link=lambda: "http://store/a")

    assert written == []  # it was given up before the digest of all that arrived
    assert list(tmp_path.iterdir()) == []
