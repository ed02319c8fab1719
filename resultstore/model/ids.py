"""Ids: the plain text of an id, in whatever type a caller keeps it."""

from enum import Enum

from resultstore.model.errors import BadReference


def id_of(given: object) -> str:
    """Return an id as plain text.

    A `uuid.UUID` or a number gives `str(given)`, and bytes are read as UTF-8. A subclass of str gives the text that it
    holds, whatever its `__str__` returns. A member of an Enum gives the id of its value.

    Raises BadReference for what can be no id: None, an empty text, one that UTF-8 cannot hold.
    """
    if type(given) is str and given and given.isascii():
        return given
    if isinstance(given, Enum):
        return id_of(given.value)
    try:
        text = _text(given)
        text.encode()
    except Exception as error:  # `__str__` of a class of the user's own may raise anything
        raise BadReference(
            f"an id is a text that UTF-8 can hold, not this {type(given).__name__}: give str, UUID or bytes"
        ) from error
    if not text or given is None:
        raise BadReference("an id must not be empty")
    return text


def state_of(given: object) -> str:
    """Return the name of a state as plain text: an Enum's member stands for its value."""
    if type(given) is str:
        return given
    return state_of(given.value) if isinstance(given, Enum) else _text(given)


def _text(given: object) -> str:
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given).decode()
    return str.__str__(given if isinstance(given, str) else str(given))
