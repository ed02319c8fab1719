"""SigningKeyCheck: refuses to serve while a presigned URL gives away the right to write results."""

import threading
from typing import Final

from resultstore.model.errors import Misconfigured, Unavailable
from resultstore.ops.forgery_check import refuse_forgeable_signing
from resultstore.settings import Settings
from resultstore.telemetry.logs import Log

_AGAIN_S: Final = 10.0

_log = Log(__name__)


class SigningKeyCheck:
    """Asks the store at the start, and where it does not answer, until it does.

    Args:
        settings: the store, and what signs its URLs.
        again_s: the pause between two questions.
    """

    def __init__(self, settings: Settings, *, again_s: float = _AGAIN_S) -> None:
        self._settings = settings
        self._again_s = again_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.refusal = ""

    def start(self) -> None:
        """Ask once. Raises Misconfigured where the keys that sign must not be used with this store."""
        self._ended.clear()
        try:
            refuse_forgeable_signing(self._settings)
        except Unavailable as error:
            _log.warning("signing_not_checked", reason=str(error))
            self._thread = threading.Thread(target=self._ask_on, name="signing-check", daemon=True)
            self._thread.start()
        except Misconfigured as error:
            self.refusal = str(error)
            raise

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _ask_on(self) -> None:
        while not self._ended.wait(self._again_s):
            try:
                refuse_forgeable_signing(self._settings)
            except Unavailable:
                continue
            except Misconfigured as error:
                self.refusal = str(error)
                _log.error("signing_refused", reason=self.refusal)
            return
