"""Redaction: cuts signatures, tokens, secrets and passwords out of what is to be shown."""

import functools
import re
from collections.abc import Mapping, MutableMapping
from typing import SupportsIndex
from urllib.parse import SplitResult, urlsplit

_CUT = "***"
# A parameter that lets its holder read or write (ours, SigV4's, temporary credentials), in a URL, encoded in another
# one, in a header, or as a member of JSON or of a Python dict.
_SIGNED = re.compile(
    r"(?i)\b((?:X-Amz-(?:Signature|Credential|Security-Token)|webhook-signature|signature|access_token)"
    r"(?:=|%3D|\\?[\"']?\s*[:=]\s*\\?[\"']?))[^&\s\"'\\,;)%]+(?:,[A-Za-z0-9+/=]+)*"
)
_AUTHORIZATION = re.compile(r"(?i)\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+|\b(AWS4-HMAC-SHA256)\s[^\"']+")
_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+@")
# Secrets that are known by how they begin: of webhooks, and our tokens.
_MARKED = re.compile(r"\b(whsec_|rst_)[A-Za-z0-9+/=_-]+")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# One of these is in whatever the others find: one look tells that most texts hold nothing to cut.
_PERHAPS = re.compile(r"(?i)signature|credential|token|bearer|basic|aws4|://|whsec_|rst_|eyj")
_SECRET_NAMES = re.compile(r"(?i)(?:^|_|-)(authorization|cookie|password|secret|secret_key|token|signature)$")
# All that stands before the last "@" of a URL's authority: a password need not be percent-encoded to be accepted.
_USER = re.compile(r"(?<=://).*@|^[^/@]*@", re.DOTALL)
_QUERY_SECRET = re.compile(r"(?i)(\b\w*(?:pass|secret|token|key)\w*=)[^&]*")
_DEEPEST = 6
_NUMBERS = frozenset({int, float})


class Secret(str):
    """Text with a secret in it, as a key or a URL with a password: it is that text, and its repr shows no secret.

    A traceback that shows local variables, a debugger and an error tracker show the repr.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a URL without user, password and secret parameters, and nothing of any other text."""
        return repr(_shown(self))

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> "SecretBytes":
        """Return its bytes, whose repr shows nothing either."""
        return SecretBytes(super().encode(encoding, errors))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """Return its parts, each a Secret."""
        return [Secret(one) for one in super().split(sep, maxsplit)]


class SecretBytes(bytes):
    """A key: its repr shows nothing of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return what stands for a key."""
        return repr(_CUT.encode() if self else b"")


def secret_url(url: str) -> str:
    """Return `url` as a Secret when there is one in it."""
    return Secret(url) if _shown(url) != url else url


def split_secret(url: str) -> SplitResult:
    """Return urlsplit(url), with its authority and query as Secrets where there is a user or a password."""
    parts = urlsplit(url)
    if "@" in url and "@" not in parts.netloc:  # a password with a slash: its pieces are anywhere
        return SplitResult(*map(Secret, parts))
    netloc = Secret(parts.netloc) if "@" in parts.netloc else parts.netloc
    query = Secret(parts.query) if _QUERY_SECRET.search(parts.query) else parts.query
    return parts._replace(netloc=netloc, query=query)


def _shown(text: str) -> str:
    """Return what may be seen of a secret text. A bare authority (user:password@host) is a URL too."""
    if "://" not in text and "@" not in text:
        return _CUT if text else ""
    return _QUERY_SECRET.sub(rf"\1{_CUT}", _USER.sub(f"{_CUT}@", text))


def redact(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """A processor of structlog that cuts signatures, tokens, secrets and passwords out of every value of a line."""
    for name, value in line.items():
        if name.startswith("_") or (_is_plain(value) and not _names_a_secret(name)):  # `_`: the processors' own
            continue
        line[name] = _cut(name, value, 0)
    return line


def cut_secrets(text: str) -> str:
    """`text` without the values of signature parameters, without tokens, secrets, and passwords in URLs."""
    if not _PERHAPS.search(text):
        return text
    text = _AUTHORIZATION.sub(lambda found: f"{found[1] or found[2]} {_CUT}", text)
    text = _SIGNED.sub(rf"\1{_CUT}", _MARKED.sub(rf"\1{_CUT}", text))
    return _PASSWORD.sub(rf"\1:{_CUT}@", _JWT.sub(_CUT, text))


def _is_plain(value: object) -> bool:
    """Whether there is nothing to cut, as in nearly every value: to learn that is most of what a line costs."""
    return type(value) in _NUMBERS or (type(value) is str and not _PERHAPS.search(value))


def _cut(name: object, value: object, depth: int) -> object:
    """A value without secrets: all of it where its name says that it is one."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(name, str) and _names_a_secret(name):
        return _CUT
    if isinstance(value, str | bytes):
        return cut_secrets(value if isinstance(value, str) else value.decode(errors="replace"))
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {cut_secrets(str(key)): _cut(key, one, depth + 1) for key, one in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_cut(name, one, depth + 1) for one in value]
    return cut_secrets(str(value) if isinstance(value, BaseException) else repr(value))


@functools.lru_cache(maxsize=512)  # the names of log lines are few
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None
