"""ContentTypes: the content types that a stored value may be read in."""

import functools
from collections.abc import Iterable

from kombu.serialization import dumps, loads, registry

from resultstore.backends.celery.codec.serializers import PICKLED, READABLE


class ContentTypes:
    """json, yaml and msgpack, and the serializers that an app's user has registered and accepts.

    Serializers that make objects of any class, as pickle does, are never included: a client that can write into the
    bucket could run code where a value is read.

    Args:
        accept: `accept_content` and `result_accept_content`: names or content types.
    """

    def __init__(self, accept: Iterable[str] = ()) -> None:
        self._accept = frozenset(accept)

    def __contains__(self, media_type: object) -> bool:
        if not isinstance(media_type, str) or media_type in READABLE:
            return isinstance(media_type, str)
        name = registry.type_to_name.get(media_type)
        return bool(self._accept & {media_type, name}) and not makes_objects(media_type)


class _Probe:
    """A class that no serializer was registered for."""


@functools.cache
def makes_objects(media_type: str) -> bool:
    """Return whether a serializer reads objects of any class, as pickle, dill and jsonpickle do."""
    if media_type == PICKLED:
        return True
    try:
        _, encoding, payload = dumps(_Probe(), registry.type_to_name[media_type])  # type: ignore[no-untyped-call]
        made = loads(payload, media_type, encoding, accept={media_type})  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - a serializer of a user's own refuses such an object in its own way
        return False
    return isinstance(made, _Probe)
