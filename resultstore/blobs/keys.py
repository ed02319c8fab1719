"""Keys: which strings a blob may stand under."""

import re

from resultstore.model.errors import BadReference

# What the layout makes, and a little more; 255 bytes is the longest segment of Linux file systems and of MinIO.
# No segment begins with a dot: neither `..` nor what a driver hides in its folder can be named.
_KEY = re.compile(r"[A-Za-z0-9~_-][A-Za-z0-9~_.-]{0,254}(/[A-Za-z0-9~_-][A-Za-z0-9~_.-]{0,254})*\Z")
_MAX_BYTES = 1024  # S3's limit for a whole key


def is_key(text: str) -> bool:
    """Whether `text` can be a key: not empty or absolute, no empty segment, none that begins with a dot."""
    return len(text) <= _MAX_BYTES and _KEY.match(text) is not None


def checked_key(key: str) -> str:
    """`key` itself; raises BadReference when it cannot be one."""
    if not is_key(key):
        raise BadReference(f"{key[:100]!r} is no key of a blob: use the keys that resultstore.model.layout makes")
    return key
