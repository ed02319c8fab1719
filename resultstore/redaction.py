"""Redaction: cuts signatures, tokens, secrets and passwords out of what is to be shown."""

import functools
import re
from collections.abc import Mapping, MutableMapping

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
_DEEPEST = 6
_NUMBERS = frozenset({int, float})


def redacted(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
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
