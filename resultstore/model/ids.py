"""Ids as plain text, from any type that a caller uses for them."""

from enum import Enum

from resultstore.model.errors import BadReference


def id_of(given: object) -> str:
    """Return an id as plain text.

    A `uuid.UUID` or a number gives `str(given)`, bytes are decoded as UTF-8, and an Enum's member gives the id of its
    value. A subclass of str gives the text that it holds, even if its `__str__` returns another one.

    Raises BadReference if it cannot be an id: None, an empty text, or one that UTF-8 cannot encode.
    """
    if type(given) is str and given and given.isascii():
        return given
    if isinstance(given, Enum):
        return id_of(given.value)
    try:
        text = _text(given)
        text.encode()
    except Exception as error:  # `__str__` of a user's class may raise anything
        raise BadReference(
            f"an id is a text that UTF-8 can encode, not this {type(given).__name__}: pass str, UUID or bytes"
        ) from error
    if not text or given is None:
        raise BadReference("an id must not be empty")
    return text


def state_of(given: object) -> str:
    """Return the name of a state as plain text; for an Enum's member, its value."""
    if type(given) is str:
        return given
    return state_of(given.value) if isinstance(given, Enum) else _text(given)


def _text(given: object) -> str:
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given).decode()
    return str.__str__(given if isinstance(given, str) else str(given))
