"""Proxy: injects faults between a client and a real store, and counts them."""

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# A proxy forwards all headers but the hop-by-hop ones (RFC 9110, section 7.6.1).
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


class Fault(StrEnum):
    """What the proxy does with a request."""

    ANSWER_503_AFTER = "the store carries the request out, the client gets 503"
    ANSWER_503_BEFORE = "the store gets no request, the client gets 503"
    CUT_AFTER = "the store carries the request out, the connection is cut"
    CUT_BEFORE = "the store gets no request, the connection is cut"
    DENY_BEFORE = "the store gets no request, the client gets 403 AccessDenied"
    DAMAGE = "the store carries the request out, one byte of the body is changed"
    HANG_AFTER = "the store carries the request out, no answer comes"


_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
_ANSWERS = {
    Fault.ANSWER_503_AFTER: (503, _SLOW_DOWN),
    Fault.ANSWER_503_BEFORE: (503, _SLOW_DOWN),
    Fault.DENY_BEFORE: (403, _DENIED),
}


@dataclass
class Rule:
    """Which requests go wrong, how, and how often at the most."""

    fault: Fault
    method: str
    path: str  # a regular expression that is searched for in path and query
    times: int = 1
    fired: int = 0

    def takes(self, method: str, path: str) -> bool:
        return self.fired < self.times and method == self.method and re.search(self.path, path) is not None


@dataclass
class Proxy:
    """`url` stands for the real store; `rules` say what goes wrong."""

    url: str = ""
    rules: list[Rule] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, fault: Fault, method: str, path: str, *, times: int = 1) -> Rule:
        rule = Rule(fault, method, path, times)
        self.rules.append(rule)
        return rule

    def next_fault(self, method: str, path: str) -> Fault | None:
        """What to do with this request, counted; None to hand it on."""
        with self.lock:
            self.seen.append((method, path))
            rule = next((one for one in self.rules if one.takes(method, path)), None)
            if rule is None:
                return None
            rule.fired += 1
            return rule.fault


class Handler(BaseHTTPRequestHandler):
    """One request: handed on, or gone wrong."""

    protocol_version = "HTTP/1.1"
    server: "ProxyServer"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.server.proxy.next_fault(self.command, self.path)
        if fault in {Fault.CUT_BEFORE, Fault.ANSWER_503_BEFORE, Fault.DENY_BEFORE}:
            self._go_wrong(fault)
            return
        status, headers, answer = self._forward(body)
        if fault is None:
            self._answer(status, headers, answer)
        elif fault is Fault.DAMAGE:
            middle = len(answer) // 2
            self._answer(status, headers, answer[:middle] + bytes([answer[middle] ^ 1]) + answer[middle + 1 :])
        else:
            self._go_wrong(fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815 - http.server finds them by name

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(
            self.server.upstream.hostname or "", self.server.upstream.port, timeout=30
        )
        try:
            # The Host header is signed: it goes on as the client wrote it.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], answer: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(answer)))
        self.send_header("content-length", length if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _go_wrong(self, fault: Fault) -> None:
        if fault in _ANSWERS:
            status, body = _ANSWERS[fault]
            self._answer(status, [("content-type", "application/xml")], b"" if self.command == "HEAD" else body)
            return
        if fault is Fault.HANG_AFTER:
            self.server.proxy.closed.wait(60)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """The tests say what is worth saying."""


class ProxyServer(ThreadingHTTPServer):
    """Listens on a free loopback port and works by the rules of `proxy`."""

    daemon_threads = True
    handler: type[Handler] = Handler

    def __init__(self, proxy: Proxy, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), self.handler)
        self.proxy = proxy
        self.upstream = urlsplit(endpoint)
        proxy.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Cut lines are the point."""


@contextmanager
def proxy_before(endpoint: str) -> Iterator[Proxy]:
    """A Proxy before `endpoint`, on a free loopback port, gone when the block ends."""
    proxy = Proxy()
    server = ProxyServer(proxy, endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()
