"""Pages of the reference, made from docstrings, offers, settings, commands and the HTTP schema."""

import logging
from collections.abc import Iterator
from pathlib import Path

import griffe

import _tables
import _tasks
import _versions_page

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
LINE_CHARS = 100
HEAD = "<!-- Made by `make docs` from the docstrings: edit those. -->\n\n"

# Page, its title, what it says first, and the objects it shows, in this order.
PAGES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "store.md",
        "Store",
        "`from resultstore import connect, Store`. All that a program without a framework needs.",
        (
            "resultstore.connect.connect",
            "resultstore.store.store.Store",
            "resultstore.store.writer.Writer",
            "resultstore.store.new_result.NewResult",
            "resultstore.aio.async_store.AsyncStore",
            "resultstore.aio.async_store.AsyncFile",
            "resultstore.aio.event_stream.event_stream",
            "resultstore.store.shares.Shares",
            "resultstore.store.shares.CountedShare",
            "resultstore.model.share.Share",
            "resultstore.store.ranges.RangeReader",
            "resultstore.filesystem.filesystem.ResultStoreFileSystem",
            "resultstore.store.temp_file_writer.TempFileWriter",
        ),
    ),
    (
        "nouns.md",
        "Artifact, Result, Output, Adapter",
        "Frozen values, from `resultstore` as well.",
        (
            "resultstore.model.artifact.Artifact",
            "resultstore.model.result.Result",
            "resultstore.model.result.State",
            "resultstore.model.result.Progress",
            "resultstore.model.result.Failure",
            "resultstore.capture.outputs.Output",
            "resultstore.capture.outputs.capture",
            "resultstore.capture.adapters.Adapter",
            "resultstore.capture.adapters.FileAdapter",
        ),
    ),
    (
        "celery.md",
        "Celery",
        "`from resultstore.backends.celery import LazyParts, aio, keeps, setup, store_of`. The backend's URL is `resultstore+redis://...`.",
        (
            "resultstore.backends.celery.setup.setup",
            "resultstore.backends.celery.setup.store_of",
            "resultstore.backends.celery.offering.offered",
            "resultstore.backends.celery.offering.offers_of",
            "resultstore.backends.celery.workflows.forget_workflow",
            "resultstore.backends.celery.workflows.Forgotten",
            "resultstore.backends.celery.backend.ResultStoreBackend",
            "resultstore.backends.celery.capture.registry.CapturingTasks",
            "resultstore.backends.celery.capture.keeps.keeps",
            "resultstore.backends.celery.capture.lazy_parts.LazyParts",
            "resultstore.backends.celery.aio.get",
            "resultstore.backends.celery.aio.as_completed",
            "resultstore.backends.celery.aio.state",
            "resultstore.backends.celery.aio.completion",
            "resultstore.backends.celery.aio.completion_of",
            "resultstore.backends.celery.aio.GroupProgress",
            "resultstore.model.spill.Spill",
        ),
    ),
    (
        "client.md",
        "Client of the gateway",
        "`from resultstore.client import GatewayClient`. See [the how-to](../how-to/python-client.md).",
        (
            "resultstore.client.gateway_client.GatewayClient",
            "resultstore.client.answers.RemoteResult",
            "resultstore.client.answers.RemoteArtifact",
            "resultstore.client.answers.RemoteEvent",
            "resultstore.client.requests.RequestRefused",
            "resultstore.client.requests.GatewayUnavailable",
        ),
    ),
    (
        "dramatiq.md",
        "Dramatiq",
        "`from resultstore.backends.dramatiq import setup, store_of`. See [the how-to](../how-to/dramatiq.md).",
        (
            "resultstore.backends.dramatiq.setup.setup",
            "resultstore.backends.dramatiq.setup.store_of",
            "resultstore.backends.dramatiq.backend.ResultStoreBackend",
            "resultstore.backends.dramatiq.capture_middleware.CaptureMiddleware",
            "resultstore.backends.dramatiq.encoder.ArtifactEncoder",
        ),
    ),
    (
        "taskiq.md",
        "taskiq",
        "`from resultstore.backends.taskiq import ResultStoreBackend, setup, store_of`.",
        (
            "resultstore.backends.taskiq.setup.setup",
            "resultstore.backends.taskiq.setup.store_of",
            "resultstore.backends.taskiq.backend.ResultStoreBackend",
            "resultstore.backends.taskiq.capture_middleware.CaptureMiddleware",
            "resultstore.backends.taskiq.formatter.ArtifactFormatter",
            "resultstore.backends.taskiq.woken_tasks.WokenTask",
        ),
    ),
    (
        "orders.md",
        "Orders and offers",
        "Tasks that clients start over HTTP: `create_app(store, dispatcher=dispatcher, offers=offers)`.",
        (
            "resultstore.dispatch.offers.Offer",
            "resultstore.dispatch.offers.Options",
            "resultstore.dispatch.orders.Order",
            "resultstore.dispatch.orders.Dispatcher",
            "resultstore.backends.celery.dispatching.CeleryDispatcher",
        ),
    ),
    (
        "contracts.md",
        "Contracts",
        "What a driver of blobs or of the index must keep; `resultstore.testing` checks a driver.",
        (
            "resultstore.blobs.blobstore.BlobStore",
            "resultstore.blobs.blobstore.BlobReader",
            "resultstore.blobs.blobstore.BlobWriter",
            "resultstore.blobs.blobstore.Signer",
            "resultstore.blobs.blobstore.Stored",
            "resultstore.blobs.blobstore.Created",
            "resultstore.blobs.blobstore.AlreadyExists",
            "resultstore.blobs.blobstore.OutcomeUnknown",
            "resultstore.blobs.blobstore.SignedUrl",
            "resultstore.testing.suites.check_blobs",
            "resultstore.testing.suites.check_index",
            "resultstore.testing.suites.check_multipart",
            "resultstore.index.index.Index",
            "resultstore.index.index.Listing",
            "resultstore.index.index.Owned",
            "resultstore.index.index.OwnerLists",
            "resultstore.index.index.Keys",
            "resultstore.index.index.UnconfirmedWrites",
            "resultstore.index.index.Events",
            "resultstore.index.index.Watch",
            "resultstore.index.index.Subscription",
            "resultstore.index.index.Feed",
            "resultstore.index.index.ScriptRunner",
            "resultstore.index.index.EarlyAnnouncer",
            "resultstore.index.index.IdChecker",
            "resultstore.index.index.Overwrite",
            "resultstore.model.event.Event",
        ),
    ),
    (
        "drivers.md",
        "Drivers",
        "`connect` chooses them by the schemes of `RESULTSTORE_BLOBS_URL` and `RESULTSTORE_INDEX_URL`.",
        (
            "resultstore.blobs.obstore.driver.ObstoreBlobs",
            "resultstore.blobs.obstore.client.ObstoreClient",
            "resultstore.blobs.s3.driver.S3Blobs",
            "resultstore.blobs.s3.signer.S3Signer",
            "resultstore.blobs.local.driver.LocalBlobs",
            "resultstore.blobs.local.signer.LocalSigner",
            "resultstore.blobs.memory.MemoryBlobs",
            "resultstore.index.redis.driver.RedisIndex",
            "resultstore.index.memory.driver.MemoryIndex",
        ),
    ),
)


def pages() -> dict[str, str]:
    """Return the text of every page by its file name."""
    logging.getLogger("griffe").setLevel(logging.ERROR)  # fields of a struct are arguments that no signature shows
    code = {
        name: griffe.load(name, search_paths=[ROOT, ROOT / "tasks"], docstring_parser="google")
        for name in ("resultstore", "resultstore_tasks")
    }
    made = {file: _page(title, lead, [_found(code, path) for path in paths]) for file, title, lead, paths in PAGES}
    made["tasks.md"] = f"# {_tasks.TITLE}\n\n{_tasks.tasks_page(code['resultstore_tasks'])}"
    made[_versions_page.FILE] = _versions_page.page()
    made |= {file: f"# {title}\n\n{text}" for file, (title, text) in _tables.tables().items()}
    titles = {file: text.partition("\n")[0].removeprefix("# ") for file, text in made.items()}
    made["index.md"] = "# Reference\n\n" + "".join(f"* [{title}]({file})\n" for file, title in titles.items())
    heads = {_versions_page.FILE: _versions_page.HEAD}
    return {file: heads.get(file, HEAD) + text.rstrip() + "\n" for file, text in made.items()}


def _found(code: dict[str, griffe.Object | griffe.Alias], path: str) -> griffe.Object:
    package, _, rest = path.partition(".")
    found = code[package][rest]
    return found.final_target if isinstance(found, griffe.Alias) else found


def _page(title: str, lead: str, shown: list[griffe.Object]) -> str:
    return f"# {title}\n\n{lead}\n\n" + "\n".join("\n".join(_entry(one, level=2)) for one in shown)


def _entry(shown: griffe.Object | griffe.Alias, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} {shown.name}\n"
    if isinstance(shown, griffe.Function):
        yield f"```python\n{_signature(shown)}\n```\n"
    yield from _described(shown)
    if isinstance(shown, griffe.Class):
        yield from _values(shown)
        for member in _members(shown):
            if _is_public(member):
                yield from _entry(member, level=level + 1)


def _members(shown: griffe.Class | griffe.Alias) -> Iterator[griffe.Object | griffe.Alias]:
    """Yield the members of a class; those of the Store with what it inherits, which has no entry of its own."""
    yield from shown.members.values()
    if shown.canonical_path == "resultstore.store.store.Store":
        # griffe shows an inherited member as an alias, which is no Function: only its target has the signature.
        yield from (member.final_target for member in shown.inherited_members.values())


def _is_public(member: griffe.Object | griffe.Alias) -> bool:
    documented = not member.name.startswith("_") and member.docstring is not None
    return documented and (member.is_function or "property" in member.labels)


def _values(enum: griffe.Class) -> Iterator[str]:
    """Yield the names of an enumeration."""
    if any(str(base).endswith("Enum") for base in enum.bases):
        names = [name for name, member in enum.members.items() if isinstance(member, griffe.Attribute)]
        yield ", ".join(f"`{name}`" for name in names) + "\n"


def _signature(function: griffe.Function) -> str:
    """Return the call as callers write it: without `self`, and one argument on each line if it is long."""
    given = [one for one in function.parameters if one.name not in {"self", "cls"}]
    words: list[str] = []
    for one in given:
        if one.kind is griffe.ParameterKind.keyword_only and "*" not in words:
            words.append("*")
        star = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(one.kind, "")
        typed = f"{star}{one.name}" + (f": {one.annotation}" if one.annotation else "")
        words.append(typed + (f" = {one.default}" if one.default is not None and not star else ""))
    answer = f" -> {function.returns}" if function.returns else ""
    short = f"{function.name}({', '.join(words)}){answer}"
    if len(short) <= LINE_CHARS:
        return short
    return f"{function.name}(\n" + "".join(f"    {word},\n" for word in words) + f"){answer}"


def _described(shown: griffe.Object | griffe.Alias) -> Iterator[str]:
    for section in shown.docstring.parsed if shown.docstring else ():
        if isinstance(section, griffe.DocstringSectionText):
            yield section.value + "\n"
        elif isinstance(section, griffe.DocstringSectionParameters):
            yield "".join(f"* `{one.name}`: {_flat(one.description)}\n" for one in section.value)
        elif isinstance(section, griffe.DocstringSectionRaises):
            raised = "".join(
                f"* `{str(one.annotation).strip('()')}`: {_flat(one.description)}\n" for one in section.value
            )
            yield "Raises:\n\n" + raised
        elif isinstance(section, griffe.DocstringSectionReturns):
            yield "Returns " + " ".join(_flat(one.description) for one in section.value) + "\n"
        else:
            raise TypeError(f"{shown.path}: no page shows a section of the kind {section.kind}")


def _flat(text: str) -> str:
    return " ".join(text.split())
