"""The check of `doctor` that connects to the message broker."""

import re
import ssl
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution, requires
from typing import Any, Final
from urllib.parse import urlsplit

from kombu.connection import Connection
from kombu.transport import TRANSPORT_ALIASES

from resultstore.ops.doctor import Defect, Verdict

CONNECT_LIMIT_S = 3.0
# What the messages of RabbitMQ, Redis, OpenSSL and the operating system have in common, and what to do.
_CAUSES: Final = (
    (r"ACCESS_REFUSED|username-password|WRONGPASS|NOAUTH|Authentication", "correct the user and the password in {}"),
    (r"vhost .*not found", "create the vhost (rabbitmqctl add_vhost), or correct the end of {}"),
    (r"access to vhost", "give the user access to the vhost (rabbitmqctl set_permissions), or correct {}"),
    (r"Protocol [Ee]rror", "this is not a Redis server, correct the host and the port in {}"),
    (r"certificate verify failed", "name a file with the certificate of its authority in SSL_CERT_FILE"),
    (r"wrong version number|record layer failure", "write a scheme without TLS in {}: the server does not speak TLS"),
    (r"not known|nodename nor servname|No address", "correct the host name in {}"),
)
# What kombu's transports raise where their library is missing.
_WITHOUT_LIBRARY: Final = (ImportError, NameError, AttributeError)
_AMQP_CAUSES: Final = (
    (
        r"timed out|closed connection|frame|Socket closed|unpack",
        "is it RabbitMQ's port? The server gave no answer in AMQP; correct the host and the port in {}",
    ),
)
_START: Final = "start the broker, or correct {}"


def broker_answers(
    broker_url: str, *, setting: str = "RESULTSTORE_BROKER_URL", connect: Callable[..., Any] = Connection
) -> str | Defect:
    """Connect to `broker_url` and return what was found, without the password.

    Args:
        broker_url: the URL, as kombu takes it.
        setting: what to correct if it is wrong.
        connect: returns a kombu Connection to it; it does not connect yet.
    """
    scheme = urlsplit(broker_url).scheme
    if scheme.partition("+")[0] not in TRANSPORT_ALIASES:
        return Defect(f"kombu has no transport for {scheme}://", f"correct {setting}")
    connection: Any = None
    try:
        connection = connect(broker_url, connect_timeout=CONNECT_LIMIT_S)
        connection.ensure_connection(max_retries=1, timeout=CONNECT_LIMIT_S)
    except Exception as error:  # noqa: BLE001 - each transport raises its library's own errors
        return _defect(error, connection, scheme=scheme, setting=setting)
    finally:
        if connection is not None:
            connection.release()
    if scheme == "rediss" and not _verifies(connection.ssl):
        text = "rediss: connected, but kombu does not verify the server's certificate"
        return Defect(text, f"add ?ssl_cert_reqs=required to {setting}", Verdict.WARNING)
    return f"{scheme}: connected"


def _verifies(options: object) -> bool:
    return isinstance(options, dict) and options.get("ssl_cert_reqs") not in {None, ssl.CERT_NONE}


def _defect(error: Exception, connection: Any, *, scheme: str, setting: str) -> Defect:  # noqa: ANN401 - kombu's
    if isinstance(error, _WITHOUT_LIBRARY) and (missing := _missing_library(scheme.partition("+")[0])):
        extra, names = missing
        return Defect(f"the client library of {scheme}:// is missing: {names}", f"run pip install 'kombu[{extra}]'")
    if isinstance(error, ImportError):
        return Defect(f"the client library of {scheme}:// is missing: {error}", f"install it, or correct {setting}")
    if connection is None:  # the port of the URL is no number, and so on; the message may quote the password
        return Defect("the broker's URL cannot be read", f"correct {setting}")
    reason = " ".join(str(error).split()) or type(error).__name__
    causes = (*_CAUSES, *_AMQP_CAUSES) if scheme.startswith(("amqp", "pyamqp")) else _CAUSES
    remedy = next((remedy for sign, remedy in causes if re.search(sign, reason)), _START)
    return Defect(f"{connection.as_uri()}: {reason}", remedy.format(setting))


def _missing_library(transport: str) -> tuple[str, str] | None:
    """Return kombu's extra for a transport, and the packages of it that are not installed."""
    extra = TRANSPORT_ALIASES[transport].rpartition(":")[0].rpartition(".")[2].lower()
    wanted = [text for text in requires("kombu") or [] if re.search(rf"extra == ['\"]{extra}['\"]", text)]
    names = [match[0] for text in wanted if (match := re.match(r"[\w.-]+", text))]
    missing = [name for name in names if not _is_installed(name)]
    return (extra, ", ".join(missing)) if missing else None


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
