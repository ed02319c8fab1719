"""Adapter: writes objects of a library as files, so that a task may return them as they are."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO, Final, Protocol

import msgspec

from resultstore.blobs.stream import type_name
from resultstore.model.errors import WrongType
from resultstore.store.naming import DEFAULT_MEDIA_TYPE, media_type_of

# Their types are plain, or serializers say best what they do not write of them.
_SERIALIZERS_KNOW: Final = sys.stdlib_module_names | {"builtins", "resultstore"}


class Adapter(Protocol):
    """How a task's return values of some types are written as files.

    Any object with these members is an Adapter; `FileAdapter` makes one of functions.
    """

    @property
    def types(self) -> Collection[str]:
        """Full names of the types as they are imported: `pandas.DataFrame`. Subclasses are included.

        Nothing is imported to compare them: the module of a value's type is loaded already.
        """

    @property
    def stem(self) -> str:
        """The name, without an extension, of an output for which the task gives none."""

    @property
    def suffixes(self) -> Sequence[str]:
        """The extensions that `write` takes, such as `.parquet`; the first one is the default."""

    @property
    def seekable(self) -> Collection[str]:
        """The extensions for which `write` seeks: they are written through a temporary file."""

    def write(self, value: object, file: BinaryIO, *, suffix: str) -> None:
        """Write `value` to `file`, which is only written to, in the format of the extension `suffix`."""


class FileAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """An Adapter made of functions.

    Args:
        types: full names of the types as they are imported, such as `xarray.Dataset`; subclasses are included.
        writers: a function of the value and a binary file for each extension, such as `.nc`; the first is the default.
        stem: the name, without an extension, of an output for which the task gives none.
        seekable: the extensions whose functions seek in the file.
    """

    types: tuple[str, ...]
    writers: Mapping[str, Callable[..., object]]
    stem: str = "output"
    seekable: tuple[str, ...] = ()

    @property
    def suffixes(self) -> Sequence[str]:
        """The extensions of `writers`, in their order."""
        return tuple(self.writers)

    def write(self, value: object, file: BinaryIO, *, suffix: str) -> None:
        """Write `value` to `file` by the function for `suffix`."""
        self.writers[suffix](value, file)


class Adapters:
    """The adapters of an app, in the order in which they are asked."""

    def __init__(self, adapters: Iterable[Adapter] = ()) -> None:
        self._adapters = tuple(adapters)

    def find(self, value: object) -> Adapter | None:
        """Return the first adapter for `value`, or None."""
        return self.find_by_type(type(value)) if self._adapters else None

    def find_by_type(self, kind: type) -> Adapter | None:
        """Return the first adapter for values of `kind`, or None."""
        if kind.__module__ == "builtins":
            return None
        return next((one for one in self._adapters if any(_is_of(kind, name) for name in one.types)), None)


NO_ADAPTERS = Adapters()


def choose_suffix(adapter: Adapter, value: object, *, file_names: Iterable[str], media_type: str) -> str:
    """Return the extension in whose format `adapter` writes `value`: by the given names, the media type, the default.

    Raises WrongType for a name or a media type of a format that the adapter does not write.
    """
    for file_name in file_names:
        suffix = PurePosixPath(file_name.lower()).suffix
        if suffix in adapter.suffixes:
            return suffix
        if media_type_of(file_name):
            raise _format_refused(adapter, value, suffix)
    if not media_type:
        return adapter.suffixes[0]
    for suffix in adapter.suffixes:
        if media_type_for(suffix) == media_type:
            return suffix
    raise _format_refused(adapter, value, media_type)


def media_type_for(suffix: str) -> str:
    """Return the media type of files with this extension."""
    return media_type_of("name" + suffix) or DEFAULT_MEDIA_TYPE


def explain_unwritable(value: object) -> str:
    """Return what to do about a return value that no serializer writes; "" if it consists of builtin types."""
    found = next(_foreign(value), None)
    if found is None:
        return ""
    return (
        f"a task returned a {type_name(found)}, which is no plain value: return an Output with its bytes, or let "
        "setup(..., adapters=resultstore.LIBRARY_ADAPTERS) write it as a file (docs/how-to/data-science.md)"
    )


def _foreign(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _foreign(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _foreign(one)
    elif type(value).__module__.partition(".")[0] not in _SERIALIZERS_KNOW:
        yield value


def _format_refused(adapter: Adapter, value: object, asked: str) -> WrongType:
    return WrongType(
        f"a {type_name(value)} is written as {', '.join(adapter.suffixes)}, not as {asked}: name it so, or write it "
        "yourself into `store.writer(name=...)`"
    )


def _is_of(kind: type, name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None)
    return isinstance(found, type) and issubclass(kind, found)
