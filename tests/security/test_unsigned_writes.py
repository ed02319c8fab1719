"""Unsigned writes: what a tenant who knows a key id from a URL can do with a MinIO that accepts them."""

import http.client
import io
import re
import secrets
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httpx
import pytest

from resultstore import Artifact, Result, Settings, Store, connect
from resultstore.capture.run import run_captured
from resultstore.model import layout
from resultstore.model.errors import ResultStoreError
from resultstore.ops.accounts import temporary_accounts
from resultstore.ops.provision import provision
from resultstore.store.attempt import Attempt
from resultstore.uploads.ticket import TicketStore
from tests.security.hostile import jpeg
from tests.store.test_adoption import Text
from tests.uploads.conftest import Place, environment, serving
from tests.uploads.telling import until

TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
FAR_OFF_MTIME = {"x-minio-source-mtime": "2047-01-01T00:00:00Z"}


@dataclass
class Ground:
    """A gateway over a real MinIO, a sealed Artifact, and the id of the key that signs uploads."""

    place: Place
    root: Settings
    artifact: Artifact
    ticket: dict

    @property
    def key_id(self) -> str:
        """Return the key id, which every presigned URL contains."""
        return re.search(r"X-Amz-Credential=([^%&]+)", self.ticket["url"])[1]

    @property
    def store(self) -> Store:
        return self.place.store

    def overwrite(self, key: str, body: bytes, *, key_id: str = "", **headers: str) -> int:
        """Write `key` without a signature; return the status of the store."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        holder = f"{key_id or self.key_id}/{stamp[:8]}/us-east-1/s3/aws4_request"
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": holder,
            "X-Amz-Date": stamp,
            "X-Amz-Expires": "60",
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": "0" * 64,
        }
        chunked = b"%x\r\n%s\r\n0\r\n\r\n\r\n" % (len(body), body)
        claims = {"x-amz-content-sha256": TRAILER, "x-amz-decoded-content-length": str(len(body)), **headers}
        path = f"{self._path(key)}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return self._put(path, chunked, claims)

    def unpack(self, key: str, body: bytes) -> int:
        """Do the same with an archive that the store unpacks."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        holder = f"{self.key_id}/{stamp[:8]}/us-east-1/s3/aws4_request"
        folder, _, name = self._path(key).partition("/")[2].partition("/")[2].rpartition("/")
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
        claims = {
            "authorization": f"AWS4-HMAC-SHA256 Credential={holder}, SignedHeaders=host, Signature={'0' * 64}",
            "x-amz-date": stamp,
            "x-amz-content-sha256": TRAILER,
            "x-amz-meta-snowball-auto-extract": "true",
            "x-amz-meta-minio-snowball-prefix": folder,
        }
        return self._put(f"{self._path(key)}.tar", file.getvalue(), claims)

    def _path(self, key: str) -> str:
        return f"/{self.root.blobs.url.removeprefix('s3://')}/{key}"

    def _put(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        place = urlsplit(self.root.s3.endpoint)
        connection = http.client.HTTPConnection(place.netloc, timeout=10)
        connection.request("PUT", path, body=body, headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture
def root(redis_url, amqp_url, s3_server, bucket, monkeypatch) -> Settings:
    """Set up a store whose operator accepts that it is forgeable."""
    for name, value in environment(redis_url, amqp_url, s3_server, f"s3://{bucket}/root").items():
        monkeypatch.setenv(name, value)
    settings = Settings(accept_forgeable_store=True)
    provision(settings)
    return settings


@pytest.fixture
def artifact(root) -> Artifact:
    """Return the Artifact of another owner's sealed Result."""
    return connect(root).put(b"of another one", name="report.txt", id=f"victim-{secrets.token_hex(8)}")


def served(root: Settings, artifact: Artifact) -> Iterator[Ground]:
    """Serve a gateway with the current environment; the attacker has a ticket."""
    with serving(Settings()) as place:
        yield Ground(place, root, artifact, place.ticket(size_bytes=len(jpeg())))


@pytest.fixture
def scoped(root, artifact, monkeypatch) -> Iterator[Ground]:
    """The documented setup: least-privilege accounts, and no forgeable store accepted."""
    with temporary_accounts(root, token=secrets.token_hex(3)) as accounts:
        monkeypatch.setenv("RESULTSTORE_ACCEPT_FORGEABLE_STORE", "false")
        for name, role in (("RESULTSTORE_S3_SIGN", "reader"), ("RESULTSTORE_S3_UPLOAD_SIGN", "uploader")):
            monkeypatch.setenv(f"{name}_ACCESS_KEY", accounts[role].access_key)
            monkeypatch.setenv(f"{name}_SECRET_KEY", accounts[role].secret_key)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", accounts["gateway"].access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", accounts["gateway"].secret_key)
        yield from served(root, artifact)


@pytest.fixture
def open_(root, artifact) -> Iterator[Ground]:
    """The discouraged setup: the root key signs, and the operator has accepted it."""
    yield from served(root, artifact)


def targets(ground: Ground) -> dict[str, str]:
    return {
        "a seal": layout.seal_key(ground.artifact.id),
        "a blob": ground.artifact.key,
        "the layout": layout.LAYOUT_KEY,
        "a new seal": layout.seal_key(f"new-{secrets.token_hex(8)}"),
        "beside the root": "../elsewhere",
    }


@pytest.mark.parametrize("kind", ["a seal", "a blob", "the layout", "a new seal", "beside the root"])
def test_a_scoped_key_id_writes_no_results(scoped, attack, kind):
    with attack(f"unsigned write over {kind}, scoped accounts") as seen:
        key = targets(scoped)[kind]
        if kind == "beside the root":
            key = key.removeprefix("../")
            scoped.root = Settings(blobs_url=scoped.root.blobs.url.removesuffix("/root"))
        link = httpx.get(
            f"{scoped.place.gateway.base_url}/v1/results/{scoped.artifact.id}/artifacts/report.txt"
        ).headers["location"]
        reader = re.search(r"X-Amz-Credential=([^%&]+)", link)[1]

        statuses = [scoped.overwrite(key, b"forged"), scoped.unpack(key, b"forged")]
        statuses.append(scoped.overwrite(key, b"forged", key_id=reader))

        assert set(statuses) == {403}
        assert b"".join(connect(Settings()).open(scoped.artifact)) == b"of another one"
        seen.refused()


def test_scoped_key_writes_uploads_that_start_nothing(scoped, attack):
    with attack("unsigned write of an upload, scoped accounts") as seen:
        mine = TicketStore(scoped.store).find(scoped.ticket["id"]).key
        longer = jpeg() + b"more than the ticket has"

        assert scoped.overwrite(mine, longer) == 200, "this is what is left of the hole"
        assert scoped.place.complete(scoped.ticket).status_code == 409
        assert scoped.place.waiting() == 0
        assert list(scoped.store.blobs.list("uploads/")) == []
        seen.harmless()


def test_upload_overwritten_after_its_check_is_not_read(scoped, attack):
    with attack("unsigned write over a verified upload") as seen:
        body, ticket = jpeg(), scoped.ticket
        httpx.put(ticket["url"], content=body, headers=ticket["headers"]).raise_for_status()
        assert scoped.place.complete(ticket).status_code == 202
        source = scoped.store.load(ticket["id"]).artifact("input")

        assert scoped.overwrite(source.key, b"x" * len(body)) == 200
        attempt = Attempt(ticket["id"], owner=source.owner)
        with pytest.raises(ResultStoreError, match="input"):
            run_captured(connect(scoped.root), attempt, lambda: 1, codec=Text(), given=[source])
        seen.harmless()


def lose_record(ground: Ground) -> None:
    ground.store.index.delete(ground.artifact.id)


def test_an_overwritten_seal_is_reported_by_name(open_, attack):
    with attack("unsigned write over a seal, root key") as seen:
        key = layout.seal_key(open_.artifact.id)
        whole = b"".join(open_.store.blobs.get(key))
        for body in (b"{}", b" ", whole[:-1] + b"0", whole.replace(b"report.txt", b"forged.txt")):
            assert open_.overwrite(key, body) == 200
            lose_record(open_)
            with pytest.raises(ResultStoreError, match=open_.artifact.id):
                connect(open_.root).load(open_.artifact.id)
            answer = open_.place.gateway.get(f"/v1/results/{open_.artifact.id}")
            assert answer.status_code >= 500
        seen.harmless()


def test_an_overwritten_blob_is_noticed(open_, attack):
    with attack("unsigned write over a blob, root key") as seen:
        stood = open_.store.blobs.stat(open_.artifact.key)
        for headers in ({}, {"x-minio-source-etag": stood.etag}, FAR_OFF_MTIME):
            assert open_.overwrite(open_.artifact.key, b"of another 0ne", **headers) == 200
            with pytest.raises(ResultStoreError):
                b"".join(connect(open_.root).open(open_.artifact))
        seen.harmless()


def test_a_seal_of_the_attackers_is_not_believed(open_, attack):
    with attack("planted seal, root key") as seen:
        planted = f"planted-{secrets.token_hex(8)}"
        copied = b"".join(open_.store.blobs.get(layout.seal_key(open_.artifact.id)))

        assert (
            open_.unpack(layout.seal_key(planted), copied.replace(open_.artifact.id.encode(), planted.encode())) == 200
        )
        found: Result | None = None
        with suppress(ResultStoreError):
            found = connect(open_.root).load(planted)
        assert found is None
        seen.refused()


def test_overwritten_layout_is_reported(open_, attack):
    with attack("unsigned write over layout.json, root key") as seen:
        for body in (b"{}", b"no JSON", b'{"format": 99}'):
            assert open_.overwrite(layout.LAYOUT_KEY, body) == 200
            until(lambda: open_.place.gateway.get("/readyz").status_code == 200, "the gateway serves")
            made = connect(open_.root).put(b"goes on", name="a.txt")
            assert b"".join(connect(open_.root).open(made)) == b"goes on"
            with pytest.raises(ResultStoreError, match=r"layout\.json"):
                provision(open_.root)
        # the layout of an earlier version has no signature and is written again
        assert open_.overwrite(layout.LAYOUT_KEY, b'{"format":1}') == 200
        assert "updated" in provision(open_.root)["layout"]
        seen.harmless()
