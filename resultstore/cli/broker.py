"""The check of `doctor` that connects to the message broker."""

from typing import Any
from urllib.parse import urlsplit

from kombu.connection import Connection
from kombu.exceptions import KombuError, OperationalError

from resultstore.ops.doctor import Defect

CONNECT_LIMIT_S = 3.0


def broker_answers(broker_url: str) -> str | Defect:
    """Connect to `broker_url` and return what was found, without the password."""
    scheme = urlsplit(broker_url).scheme
    try:
        connection: Any = Connection(broker_url, connect_timeout=CONNECT_LIMIT_S)  # type: ignore[no-untyped-call]
    except (KeyError, ImportError) as error:  # no such transport, or its library is not installed
        return Defect(f"kombu cannot speak {scheme}:// ({error})", "correct RESULTSTORE_BROKER_URL")
    try:
        connection.ensure_connection(max_retries=1, timeout=CONNECT_LIMIT_S)
    except (KombuError, OperationalError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Defect(f"{connection.as_uri()}: {reason}", "start the broker, or correct RESULTSTORE_BROKER_URL")
    connection.release()
    return f"{scheme}: connected"
