"""WeakStore: the real MinIO behind a proxy that removes what other stores lack, and counts each removal."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.faults.proxy import Handler, Proxy, ProxyServer

_REFUSED = b"<Error><Code>NotImplemented</Code><Message>Not implemented.</Message></Error>"
_CONFLICT = b"<Error><Code>OperationAborted</Code><Message>A conflicting operation is in progress.</Message></Error>"
_KEPT_HEADERS = {"content-type", "content-length", "range", "if-match"}


class Lack(StrEnum):
    """What a store may lack, and which one was seen to lack it."""

    CONDITION = "every conditional PUT wins (Garage 2.5, rclone serve s3)"
    CONDITION_REFUSED = "a conditional PUT is answered with 501"
    TAGS = "tags of objects are answered with 501 (Cloudflare R2, Garage)"
    RULE_TAGS = "lifecycle rules come back without their tags (Garage 2.5)"
    LIFECYCLE = "lifecycle is answered with 501 (versitygw)"
    LIFECYCLE_WRITING = "lifecycle rules can be read and not written"
    RULE_CONFLICT = "writing lifecycle rules is answered with 409"
    RANGES = "a bounded Range is ignored (rclone serve s3)"
    LAST_PART = "a multipart upload is completed without its last part"


@dataclass
class Weak(Proxy):
    """`url` stands for the weak store; `fired` counts what was taken away."""

    lacks: frozenset[Lack] = frozenset()
    pair: tuple[str, str] = ("", "")
    fired: Counter[Lack] = field(default_factory=Counter)

    def lacking(self, method: str, query: str, headers: dict[str, str]) -> Lack | None:
        """What of this request the store lacks."""
        has = {
            Lack.CONDITION: method == "PUT" and "if-none-match" in headers,
            Lack.CONDITION_REFUSED: method == "PUT" and "if-none-match" in headers,
            Lack.TAGS: "x-amz-tagging" in headers or query.startswith("tagging"),
            Lack.RULE_TAGS: method == "GET" and query.startswith("lifecycle"),
            Lack.LIFECYCLE: query.startswith("lifecycle"),
            Lack.LIFECYCLE_WRITING: method == "PUT" and query.startswith("lifecycle"),
            Lack.RULE_CONFLICT: method == "PUT" and query.startswith("lifecycle"),
            Lack.RANGES: method == "GET" and "range" in headers,
            Lack.LAST_PART: method == "POST" and query.startswith("uploadId="),
        }
        found = next((one for one in sorted(self.lacks) if has[one]), None)
        if found is not None:
            with self.lock:
                self.fired[found] += 1
        return found


class WeakHandler(Handler):
    """One request: handed on, with something missing."""

    server: "WeakServer"

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        weak = self.server.weak
        headers = {name.lower(): value for name, value in self.headers.items()}
        lack = weak.lacking(self.command, urlsplit(self.path).query, headers)
        if lack in {Lack.TAGS, Lack.LIFECYCLE, Lack.LIFECYCLE_WRITING, Lack.CONDITION_REFUSED}:
            return 501, [("content-type", "application/xml")], b"" if self.command == "HEAD" else _REFUSED
        if lack is Lack.RULE_CONFLICT:
            return 409, [("content-type", "application/xml")], _CONFLICT
        if lack is Lack.RANGES:
            del headers["range"]
        if lack is Lack.LAST_PART:
            head, _, tail = body.rpartition(b"<Part>")
            body = head + tail.partition(b"</Part>")[2]
        if lack in {Lack.CONDITION, Lack.RANGES, Lack.LAST_PART}:
            self._sign_again(headers, body)
        status, answered, answer = super()._forward(body)
        if lack is Lack.RULE_TAGS:
            prefix = rb"<And>.*?(<Prefix>.*?</Prefix>).*?</And>"
            return status, answered, re.sub(prefix, rb"\1", answer, flags=re.DOTALL)
        return status, answered, answer

    def _sign_again(self, headers: dict[str, str], body: bytes) -> None:
        """What was changed was signed: now the request needs a signature of its own."""
        headers = headers | {"content-length": str(len(body))}
        kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS | {"x-amz-tagging"}}
        url = f"{self.server.upstream.scheme}://{self.server.upstream.netloc}{self.path}"
        request = AWSRequest(self.command, url, headers=kept, data=body)
        S3SigV4Auth(Credentials(*self.server.weak.pair), "s3", "us-east-1").add_auth(request)
        for name in list(self.headers):
            del self.headers[name]
        for name, value in [*request.headers.items(), ("Host", self.server.upstream.netloc)]:
            self.headers[name] = value


class WeakServer(ProxyServer):
    """Listens on a free loopback port."""

    handler = WeakHandler

    def __init__(self, weak: Weak, endpoint: str) -> None:
        super().__init__(weak, endpoint)
        self.weak = weak


@contextmanager
def weak_store(endpoint: str, pair: tuple[str, str], *lacks: Lack) -> Iterator[Weak]:
    """The store at `endpoint` without what `lacks` name; `pair` signs what had to be changed."""
    weak = Weak(lacks=frozenset(lacks), pair=pair)
    server = WeakServer(weak, endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield weak
    finally:
        weak.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()
