"""Redaction: removes signatures, tokens, secrets and passwords from text and log lines."""

import functools
import re
from collections.abc import Mapping, MutableMapping
from typing import SupportsIndex
from urllib.parse import SplitResult, urlsplit

_CUT = "***"
# A parameter that grants access (ours, SigV4's, temporary credentials): in a URL, encoded in another URL, in a header,
# or as a member of JSON or of a Python dict.
_SIGNED = re.compile(
    r"(?i)\b((?:X-Amz-(?:Signature|Credential|Security-Token)|webhook-signature|signature|access_token)"
    r"(?:=|%3D|\\?[\"']?\s*[:=]\s*\\?[\"']?))[^&\s\"'\\,;)%]+(?:,[A-Za-z0-9+/=]+)*"
)
_AUTHORIZATION = re.compile(r"(?i)\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+|\b(AWS4-HMAC-SHA256)\s[^\"']+")
_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+@")
# Secrets with a known prefix: of webhooks, and gateway tokens.
_MARKED = re.compile(r"\b(whsec_|rst_|rss_)[A-Za-z0-9+/=_-]+")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# Every match of the other patterns contains one of these: a single search clears most texts.
_PERHAPS = re.compile(r"(?i)signature|credential|token|bearer|basic|aws4|://|whsec_|rst_|rss_|eyj")
_SECRET_NAMES = re.compile(r"(?i)(?:^|_|-)(authorization|cookie|password|secret|secret_key|token|signature)$")
# Everything before the last "@" of a URL's authority, because a password may contain unencoded characters.
_USER = re.compile(r"(?<=://).*@|^[^/@]*@", re.DOTALL)
_QUERY_SECRET = re.compile(r"(?i)(\b\w*(?:pass|secret|token|key)\w*=)[^&]*")
_MAX_DEPTH = 6
_NUMBERS = frozenset({int, float})


class Secret(str):
    """Text that contains a secret, such as a key or a URL with a password. Its repr shows no secret.

    Tracebacks with local variables, debuggers and error trackers show the repr.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a URL without user, password and secret parameters; of any other text only a placeholder."""
        return repr(_shown(self))

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> "SecretBytes":
        """Return its bytes, whose repr shows no secret either."""
        return SecretBytes(super().encode(encoding, errors))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """Return its parts, each a Secret."""
        return [Secret(one) for one in super().split(sep, maxsplit)]


class SecretBytes(bytes):
    """Bytes of a key. Their repr is a placeholder."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a placeholder."""
        return repr(_CUT.encode() if self else b"")


def secret_url(url: str) -> str:
    """Return `url` as a Secret if it contains one."""
    return Secret(url) if _shown(url) != url else url


def split_secret(url: str) -> SplitResult:
    """Return urlsplit(url), with authority and query as Secrets if they contain one."""
    parts = urlsplit(url)
    if "@" in url and "@" not in parts.netloc:  # a password with a slash: parts of it may be in any component
        return SplitResult(*map(Secret, parts))
    netloc = Secret(parts.netloc) if "@" in parts.netloc else parts.netloc
    query = Secret(parts.query) if _QUERY_SECRET.search(parts.query) else parts.query
    return parts._replace(netloc=netloc, query=query)


def _shown(text: str) -> str:
    """Return a secret text without its secrets. A bare authority (user:password@host) is treated as a URL."""
    if "://" not in text and "@" not in text:
        return _CUT if text else ""
    return _QUERY_SECRET.sub(rf"\1{_CUT}", _USER.sub(f"{_CUT}@", text))


def redact(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Remove signatures, tokens, secrets and passwords from every value of a line, as a processor of structlog."""
    for name, value in line.items():
        if name.startswith("_") or (
            _is_plain(value) and not _is_secret_name(name)
        ):  # `_`: used by the processors themselves
            continue
        line[name] = _cut(name, value, 0)
    return line


def cut_secrets(text: str) -> str:
    """Return `text` without values of signature parameters, tokens, secrets, and passwords in URLs."""
    if not _PERHAPS.search(text):
        return text
    text = _AUTHORIZATION.sub(lambda found: f"{found[1] or found[2]} {_CUT}", text)
    text = _SIGNED.sub(rf"\1{_CUT}", _MARKED.sub(rf"\1{_CUT}", text))
    return _PASSWORD.sub(rf"\1:{_CUT}@", _JWT.sub(_CUT, text))


def _is_plain(value: object) -> bool:
    """Return whether there is nothing to cut. Fast, because nearly every value is plain."""
    return type(value) in _NUMBERS or (type(value) is str and not _PERHAPS.search(value))


def _cut(name: object, value: object, depth: int) -> object:
    """Return a value without secrets; nothing of it if its name marks it as one."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(name, str) and _is_secret_name(name):
        return _CUT
    if isinstance(value, str | bytes):
        return cut_secrets(value if isinstance(value, str) else value.decode(errors="replace"))
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {cut_secrets(str(key)): _cut(key, one, depth + 1) for key, one in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_cut(name, one, depth + 1) for one in value]
    return cut_secrets(str(value) if isinstance(value, BaseException) else repr(value))


@functools.lru_cache(maxsize=512)  # the names of log lines are few
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None
