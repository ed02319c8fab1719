"""StoreClock: the object store's own time, from the Date header of its answers."""

import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPException

from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.s3.certificates import tls_context
from resultstore.blobs.s3.errors import S3Failure
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable

_KEPT_S = 300.0
_AGAIN_S = 10.0
_HALF_A_SECOND_S = 0.5  # Date has whole seconds, cut off (RFC 9110 section 5.6.7)
SKEW_MAX_S = 300.0


def require_small_skew(now: Callable[[], float], *, here: Callable[[], float] = time.time) -> Callable[[], float]:
    """Return `now` with a check: it raises BlobStoreUnavailable if it is 5 minutes off this machine's clock.

    One of the two clocks is wrong then: a signed URL would be refused, or be valid at another time than it says.
    """

    def agreed() -> float:
        there = now()
        skew_s = there - here()
        if abs(skew_s) > SKEW_MAX_S:
            raise BlobStoreUnavailable(
                f"the object store's clock is {skew_s:+.0f} s from this machine's, so no URL is signed: set both "
                "clocks (`resultstore doctor` compares them)"
            )
        return there

    return agreed


class StoreClock:
    """Measures the store's time: one unsigned HEAD request every five minutes in each process.

    Only the first call waits for the answer. Later requests run on a thread, since the caller may be an event loop.
    While the store is unreachable the last measurement is used: a monotonic clock drifts some tens of milliseconds in
    an hour.

    Args:
        target: the store.
        timeout_s: how long to wait for its answer.
        retries: how often to ask again.
    """

    def __init__(self, target: S3Target, *, timeout_s: float, retries: Retries) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._retries = retries
        self._measured: tuple[int, float, float] | None = None  # pid, monotonic time, the store's time then
        self._renewed_at = 0.0  # monotonic

    def now(self) -> float:
        """Return seconds since the epoch by the store's clock, within half a second. Raises BlobStoreUnavailable."""
        measured = self._measured
        if measured is None or measured[0] != os.getpid():
            measured = self._measured = self._measure()
            self._renewed_at = measured[1]
        elif time.monotonic() - self._renewed_at > _KEPT_S:
            self._renewed_at = time.monotonic() - _KEPT_S + _AGAIN_S  # one at a time, and not at once after a failure
            threading.Thread(target=self._renew, name="store-clock", daemon=True).start()
        return measured[2] + (time.monotonic() - measured[1])

    def _renew(self) -> None:
        with suppress(BlobStoreUnavailable):
            self._measured = measured = self._measure()
            self._renewed_at = measured[1]

    def _measure(self) -> tuple[int, float, float]:
        sent, date, received = self._asked()
        try:
            stamp = parsedate_to_datetime(date).timestamp()
        except ValueError as error:
            raise BlobStoreUnavailable(
                f"{self._target.origin} answers without a Date: is RESULTSTORE_S3_ENDPOINT really an object store?"
            ) from error
        return os.getpid(), (sent + received) / 2, stamp + _HALF_A_SECOND_S

    def _asked(self) -> tuple[float, str, float]:
        pauses = self._retries.pauses()
        while True:
            sent = time.monotonic()
            try:
                return sent, self._date(), time.monotonic()
            except (OSError, HTTPException) as error:
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise S3Failure.of(error).error(self._target.where, "the store's clock") from error
                time.sleep(pause_s)

    def _tls(self) -> ssl.SSLContext | None:
        return tls_context() if self._target.origin.startswith("https:") else None

    def _date(self) -> str:
        # S310: S3Target allows http:// and https:// only.
        request = urllib.request.Request(f"{self._target.origin}/", method="HEAD")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s, context=self._tls()) as answer:  # noqa: S310
                return str(answer.headers.get("Date", ""))
        except urllib.error.HTTPError as refusal:  # refused, yet it has a Date
            with refusal:
                return str(refusal.headers.get("Date", ""))
