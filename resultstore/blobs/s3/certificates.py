"""Certificates: authorities that are trusted for the object store's certificate, beyond the system's own list.

Two variables name a file of certificates: SSL_CERT_FILE, which OpenSSL and rustls read, and AWS_CA_BUNDLE, which every
AWS SDK reads. Each client here would read one of them; with this module each reads both.
"""

import os
import ssl
from pathlib import Path
from typing import Final

from resultstore.model.errors import Misconfigured

_AWS: Final = "AWS_CA_BUNDLE"
_OPENSSL: Final = "SSL_CERT_FILE"


def for_boto() -> str | None:
    """Return the file for `verify` of boto3's client; None if boto3 finds its own.

    Raises Misconfigured when the file cannot be read.
    """
    if os.environ.get(_AWS) or not os.environ.get(_OPENSSL):
        return None
    _content(_OPENSSL)
    return os.environ[_OPENSSL]


def for_obstore() -> bytes | None:
    """Return certificates that are trusted beyond what rustls reads; None if there are none.

    Raises Misconfigured when the file cannot be read.
    """
    return _content(_AWS) if os.environ.get(_AWS) else None


def tls_context() -> ssl.SSLContext:
    """Return a context for the standard library's clients. Raises Misconfigured when a file cannot be read."""
    context = ssl.create_default_context()  # the system's list, or SSL_CERT_FILE
    for name in _variables():
        _load(context, name)
    return context


def count_authorities() -> dict[str, int]:
    """Return how many certificates each variable's file holds, for the variables that are set.

    Raises Misconfigured when a file cannot be read.
    """
    counts = {}
    for name in _variables():
        _load(context := ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), name)
        counts[name] = context.cert_store_stats()["x509"]
    return counts


def _variables() -> list[str]:
    return [name for name in (_AWS, _OPENSSL) if os.environ.get(name)]


def _load(context: ssl.SSLContext, name: str) -> None:
    text = _content(name).decode("ascii", errors="replace")
    try:
        context.load_verify_locations(cadata=text)
    except ssl.SSLError as error:
        raise Misconfigured(f"{name} names {os.environ[name]!r}, which holds no certificates (PEM)") from error


def _content(name: str) -> bytes:
    path = os.environ[name]
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misconfigured(f"{name} names {path!r}, which cannot be read: {error.strerror}") from error
