"""Uploader: sends a file to the object store by a ticket of the gateway, in parts if it is large; resumes."""

import hashlib
import io
import mimetypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final, Self

import httpx

from resultstore.client.answers import PartsToSend, PartToSend, UploadTicket
from resultstore.client.requests import GatewayUnavailable, RequestRefused, repeated
from resultstore.model.errors import WrongType

AT_ONCE: Final = 3
_READ_BYTES: Final = 1024 * 1024
_ROUNDS_WITHOUT_PROGRESS: Final = 3
_DEFAULT_TYPE: Final = "application/octet-stream"

Source = bytes | str | Path | BinaryIO
Report = Callable[[int, int], None]


class LocalFile:
    """The content of an upload: parts of it are read by several threads.

    Args:
        source: bytes, the path of a file, or a seekable binary file.

    Raises WrongType for anything else.
    """

    def __init__(self, source: Source) -> None:
        self._lock = threading.Lock()
        self._own = isinstance(source, str | Path)
        if isinstance(source, bytes):
            self._file: BinaryIO = io.BytesIO(source)
        elif isinstance(source, str | Path):
            self._file = Path(source).open("rb")  # noqa: SIM115 - closed by __exit__
        elif isinstance(source, io.IOBase) and source.seekable() and not isinstance(source, io.TextIOBase):
            self._file = source
        else:
            raise WrongType(f"upload bytes, a path or a seekable binary file, not {type(source).__name__}")
        name = getattr(self._file, "name", "")
        self.name = Path(name).name if isinstance(name, str) and name else "upload"
        self.size_bytes = self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._file.close()

    def read(self, start: int, size_bytes: int) -> bytes:
        """Return this range."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size_bytes)

    def sha256(self) -> str:
        """Return the digest of the whole file in hex."""
        digest = hashlib.sha256()
        for start in range(0, self.size_bytes, _READ_BYTES):
            digest.update(self.read(start, _READ_BYTES))
        return digest.hexdigest()

    @staticmethod
    def media_type(name: str) -> str:
        """Return the media type that the extension of a file name stands for."""
        return mimetypes.guess_type(name)[0] or _DEFAULT_TYPE


class Uploader:
    """Sends the bytes of one upload, and sends again what did not arrive.

    Args:
        http: sends requests to the object store, without credentials: each URL is its own permission.
        refresh: returns the ticket with new URLs for what is missing.
        report: called with the bytes sent and all bytes.
    """

    def __init__(self, http: httpx.Client, refresh: Callable[[], UploadTicket], report: Report | None = None) -> None:
        self._http = http
        self._refresh = refresh
        self._report = report or (lambda _sent, _all: None)
        self._sent = 0
        self._lock = threading.Lock()

    def send(self, ticket: UploadTicket, file: LocalFile) -> None:
        """Send everything that the object store lacks. Raises GatewayUnavailable, RequestRefused."""
        if ticket.parts is None:
            self._send_whole(ticket, file)
            return
        idle, missing = 0, -1
        while ticket.parts is not None and ticket.parts.urls:
            before, missing = missing, ticket.parts.urls[0].number
            idle = idle + 1 if missing == before else 0
            if idle >= _ROUNDS_WITHOUT_PROGRESS:
                raise GatewayUnavailable(f"part {missing} of upload {ticket.id} does not arrive: resume it later")
            self._send_parts(ticket.parts, file)
            ticket = self._refresh()

    def _send_parts(self, parts: PartsToSend, file: LocalFile) -> None:
        def send(part: PartToSend) -> None:
            self._send_part(part, file, start=(part.number - 1) * parts.part_size_bytes)

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="resultstore-upload") as pool:
            list(pool.map(send, parts.urls))

    def _send_whole(self, ticket: UploadTicket, file: LocalFile) -> None:
        if ticket.url is None:
            return  # it has arrived already
        status = self._put(ticket.url, ticket.headers, file.read(0, file.size_bytes), what=f"the upload {ticket.id}")
        # 412: an earlier try has stored it; the gateway compares what is there.
        if status != HTTPStatus.PRECONDITION_FAILED and not httpx.codes.is_success(status):
            raise _refused(ticket.id, status)
        self._count(file.size_bytes, file)

    def _send_part(self, part: PartToSend, file: LocalFile, *, start: int) -> None:
        status = self._put(part.url, part.headers, file.read(start, part.size_bytes), what=f"part {part.number}")
        if httpx.codes.is_success(status):
            self._count(part.size_bytes, file)
        elif status != HTTPStatus.FORBIDDEN:  # 403: its URL has expired; the next round has a new one
            raise _refused(f"part {part.number}", status)

    def _put(self, url: str, headers: object, content: bytes, *, what: str) -> int:
        sent = dict(headers) if isinstance(headers, dict) else {}
        return repeated(lambda: self._http.put(url, content=content, headers=sent), what=what).status_code

    def _count(self, size_bytes: int, file: LocalFile) -> None:
        with self._lock:
            self._sent += size_bytes
            self._report(self._sent, file.size_bytes)


def _refused(what: str, status: int) -> RequestRefused:
    return RequestRefused(f"the object store refused {what} with status {status}", status=status, slug="store-refused")
