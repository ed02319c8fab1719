"""GatewayClient: what a program does through a gateway: upload, start, wait, watch, download."""

import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import httpx
import msgspec

from resultstore.client.answers import RemoteEvent, RemoteResult, UploadTicket
from resultstore.client.downloader import download
from resultstore.client.event_reader import EventReader
from resultstore.client.requests import TIMEOUT_S, GatewayRequests
from resultstore.client.uploader import LocalFile, Report, Source, Uploader
from resultstore.model.errors import ArtifactMissing

_FIRST_POLL_S: Final = 0.1
_LONGEST_POLL_S: Final = 2.0


class _Link(msgspec.Struct):
    url: str


class _Page(msgspec.Struct):
    items: tuple[RemoteResult, ...]
    next: str | None = None


class GatewayClient:
    """A client of one gateway. Threads may share it. Use it as a context manager, or call `close`.

    Each method repeats its requests after temporary errors, and starts or changes nothing twice. Every method raises
    RequestRefused, with the gateway's `status` and `slug`, GatewayUnavailable after several tries, and ResultMissing,
    ArtifactMissing, ArtifactExpired or TaskMissing for what is not there.

    Args:
        url: the public URL of the gateway, with its path.
        token: sent as `Authorization: Bearer` to the gateway alone; "" for a gateway in open mode.
        headers: further headers for the gateway, such as a cookie.
        http: sends all requests, for a proxy or certificates of your own. It must follow no redirects, and is not
            closed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._own = http is None
        self._http = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) if http is None else http
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._requests = GatewayRequests(url, self._http, {**authorization, **(headers or {})})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._own:
            self._http.close()

    def submit(
        self,
        source: Source,
        *,
        task: str,
        options: Mapping[str, object] | None = None,
        name: str | None = None,
        media_type: str | None = None,
        webhook_url: str | None = None,
        report: Report | None = None,
    ) -> RemoteResult:
        """Upload a file, start `task` with it, and return its Result, which has the id of the upload.

        Args:
            source: bytes, the path of a file, or a seekable binary file. Above 16 MiB it is sent in parts, three at a
                time; memory holds those parts only.
            task: an offered task that takes a file.
            options: its options.
            name: the file's name; by default that of the path.
            media_type: the declared type; by default by the extension. The gateway compares the bytes with it.
            webhook_url: notified when the task has ended.
            report: called with the bytes sent and all bytes.
        """
        with LocalFile(source) as file:
            shown = name or file.name
            asked = {
                "name": shown,
                "size_bytes": file.size_bytes,
                "media_type": media_type or file.media_type(shown),
                "task": task,
                "options": dict(options or {}),
                "sha256": file.sha256(),
                "webhook_url": webhook_url,
            }
            ticket = self._requests.ask("POST", "/uploads", UploadTicket, json=asked, headers=_once())
            return self._send(ticket, file, report)

    def resume(self, upload_id: str, source: Source, *, ticket: str = "", report: Report | None = None) -> RemoteResult:
        """Send what is missing of an interrupted upload of the same file, and start its task.

        Args:
            upload_id: the id of the upload.
            source: the same file.
            ticket: the signed ticket, needed only after the gateway has lost its Redis.
            report: called with the bytes sent by this call and all bytes.
        """
        with LocalFile(source) as file:
            return self._send(self._ticket(upload_id, ticket), file, report)

    def start(
        self, task: str, arguments: Mapping[str, object] | None = None, *, webhook_url: str | None = None
    ) -> RemoteResult:
        """Start an offered task that takes no file, and return its Result."""
        asked = {"arguments": dict(arguments or {}), "webhook_url": webhook_url}
        return self._requests.ask("POST", f"/tasks/{quote(task, safe='')}", RemoteResult, json=asked, headers=_once())

    def result(self, result_id: str) -> RemoteResult:
        """Return the current state of a Result."""
        return self._requests.ask("GET", _path(result_id), RemoteResult)

    def results(self, *, state: str = "", task: str = "", q: str = "") -> Iterator[RemoteResult]:
        """Iterate over the caller's Results, newest first. `q` is part of an id, a task or a file name."""
        asked: dict[str, str | int] = {"limit": 200, "state": state, "task": task, "q": q}
        while True:
            page = self._requests.ask("GET", "/results", _Page, params=asked)
            yield from page.items
            if page.next is None:
                return
            asked["cursor"] = page.next

    def wait(self, result_id: str, *, timeout_s: float | None = None) -> RemoteResult:
        """Wait until a Result has ended, and return it. Raises TimeoutError after `timeout_s`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _FIRST_POLL_S
        while not (found := self.result(result_id)).ended:
            left_s = pause_s if end is None else end - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"result {result_id} is {found.state} after {timeout_s} s")
            time.sleep(min(pause_s, left_s))
            pause_s = min(1.5 * pause_s, _LONGEST_POLL_S)
        return found

    def events(self, *, after: str = "") -> Iterator[RemoteEvent]:
        """Iterate over the changes of the caller's Results, without end; a broken connection is resumed.

        The first event is a snapshot of the newest Results, unless `after` is the position of an earlier event.
        """
        return EventReader(self._requests, after).read()

    def download(self, result: RemoteResult, name: str, target: str | Path, *, report: Report | None = None) -> Path:
        """Download an output to the file `target`, and return its path. The file appears only when it is verified.

        Raises ArtifactMissing, ChecksumMismatch.
        """
        artifact = result.artifact(name)
        if artifact is None:
            known = ", ".join(one.name for one in result.artifacts) or "none"
            raise ArtifactMissing(f"result {result.id} ({result.state}) has no artifact {name!r}; it has: {known}")
        path = Path(target)
        download(self._http, artifact, path, link=lambda: self.link(result.id, name), report=report)
        return path

    def link(self, result_id: str, name: str, *, inline: bool = False) -> str:
        """Return a presigned URL of an output."""
        asked = {"link": 1} | ({"inline": 1} if inline else {})
        return self._requests.ask("GET", _path(result_id, "artifacts", name), _Link, params=asked).url

    def share(
        self, result_id: str, name: str, *, expires_in_s: int | None = None, inline: bool = False, max_uses: int = 0
    ) -> str:
        """Make a share link of an output, and return its URL. See docs/how-to/share-links.md."""
        asked = {"expires_in_s": expires_in_s, "inline": inline, "max_uses": max_uses}
        return self._requests.ask("POST", _path(result_id, "artifacts", name, "shares"), _Link, json=asked).url

    def cancel(self, result_id: str) -> RemoteResult:
        """Cancel a task; a Result that has ended stays unchanged."""
        return self._requests.ask("POST", _path(result_id, "cancel"), RemoteResult, json={})

    def retry(self, result_id: str) -> RemoteResult:
        """Start the same task with the same input again, and return the new Result."""
        return self._requests.ask("POST", _path(result_id, "retry"), RemoteResult, json={}, headers=_once())

    def delete(self, result_id: str, *, force: bool = False) -> None:
        """Delete a Result that has ended, with its outputs.

        `force` deletes it with an input file that retries of it use; without it that is refused (409 `input-in-use`).
        """
        self._requests.send("DELETE", _path(result_id), params={"force": "true"} if force else None)

    def _ticket(self, upload_id: str, signed: str) -> UploadTicket:
        headers = {"Upload-Ticket": signed} if signed else {}
        return self._requests.ask("GET", f"/uploads/{quote(upload_id, safe='')}", UploadTicket, headers=headers)

    def _send(self, ticket: UploadTicket, file: LocalFile, report: Report | None) -> RemoteResult:
        Uploader(self._http, lambda: self._ticket(ticket.id, ticket.ticket), report).send(ticket, file)
        signed = {"Upload-Ticket": ticket.ticket} if ticket.ticket else {}
        return self._requests.ask(
            "POST", f"/uploads/{quote(ticket.id, safe='')}/complete", RemoteResult, json={}, headers=signed
        )


def _path(result_id: str, *below: str) -> str:
    return "/".join(["/results", *(quote(one, safe="") for one in (result_id, *below))])


def _once() -> dict[str, str]:
    """Return the header that makes a request safe to repeat."""
    return {"Idempotency-Key": uuid.uuid4().hex}
