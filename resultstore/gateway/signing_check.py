"""SigningKeyCheck: refuses keys whose presigned URLs would let a client overwrite sealed results."""

import threading
from typing import Final

from resultstore.model.errors import Misconfigured, Unavailable
from resultstore.ops.forgery_check import refuse_forgeable_signing
from resultstore.settings import Settings
from resultstore.telemetry.logs import Log

_RETRY_S: Final = 10.0

_log = Log(__name__)


class SigningKeyCheck:
    """Checks the keys at the start; if the store does not answer, a thread repeats the check until it does.

    Args:
        settings: the store and the keys that sign its URLs.
        retry_s: the pause between two checks.
    """

    def __init__(self, settings: Settings, *, retry_s: float = _RETRY_S) -> None:
        self._settings = settings
        self._retry_s = retry_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.refusal = ""

    def start(self) -> None:
        """Check once. Raises Misconfigured when the signing keys must not be used with this store."""
        self._ended.clear()
        try:
            refuse_forgeable_signing(self._settings)
        except Unavailable as error:
            _log.warning("signing_not_checked", reason=str(error))
            self._thread = threading.Thread(target=self._check_until_answered, name="signing-check", daemon=True)
            self._thread.start()
        except Misconfigured as error:
            self.refusal = str(error)
            raise

    def stop(self) -> None:
        """Stop checking."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _check_until_answered(self) -> None:
        while not self._ended.wait(self._retry_s):
            try:
                refuse_forgeable_signing(self._settings)
            except Unavailable:
                continue
            except Misconfigured as error:
                self.refusal = str(error)
                _log.error("signing_refused", reason=self.refusal)
            return
