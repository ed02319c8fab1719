"""Backend checks: the result backend of an app, its servers, and whether other programs look for results there too."""

import warnings
from typing import Final
from urllib.parse import parse_qs, urlsplit

from celery import Celery

from resultstore.backends.celery.capture.other_backend import keeps_results
from resultstore.backends.celery.setup import store_of
from resultstore.backends.celery.urls import without_secrets
from resultstore.model.errors import Misconfigured, ResultStoreError
from resultstore.ops.doctor import Defect, Probe, Verdict, blobs_keep, no_blobs
from resultstore.ops.index_rights import serves
from resultstore.settings import Settings, settings_known
from resultstore.store import Store

_THIS_HOST: Final = "127.0.0.1"
_REDIS_PORT: Final = ":6379"


def find_store(app: Celery) -> Store | None:
    """Return the Store of the app's results; None if another backend keeps them, or if it cannot be made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no object store is a row of its own
        try:
            return store_of(app)
        except Exception:  # noqa: BLE001 - each backend raises its own; `check_backend` reports it
            return None


def check_backend(app: Celery) -> str | Defect:
    """Check that resultstore keeps the results of the app."""
    try:
        backend = app.backend
    except Misconfigured:
        raise
    except Exception as error:  # noqa: BLE001 - each backend raises its own
        text = f"the app's result backend cannot be made ({type(error).__name__} {error})"
        return Defect(text, "correct result_backend")
    if keeps_results(backend):
        return f"resultstore, index {without_secrets(store_of(app).settings.index.url)}"
    return Defect(
        f"the app's results are kept by {type(backend).__name__}, not by resultstore: none is in the object store, and "
        "a task that returns a file fails",
        "put resultstore+ before the URL of the result backend (resultstore+redis://host:6379/0)",
    )


def names_other_index(settings: Settings, store: Store) -> bool:
    """Return whether RESULTSTORE_INDEX_URL is set, and names another index than that of the app's results."""
    if settings.index.url == settings_known()["index_url"][1].default:
        return False
    return _address(settings.index.url) != _address(store.settings.index.url)


def server_probes(settings: Settings, store: Store) -> dict[str, Probe]:
    """Return the checks of the servers of the app's results, where `settings` name others.

    Args:
        settings: of this process's environment.
        store: of the app's results.
    """
    probes: dict[str, Probe] = {
        "index of the app": lambda: index_serves(store),
        "same index": lambda: Defect(
            f"RESULTSTORE_INDEX_URL names {without_secrets(settings.index.url)}, and the app keeps its results in "
            f"{without_secrets(store.settings.index.url)}: the gateway and the commands do not find them",
            "set RESULTSTORE_INDEX_URL to the same Redis, or remove it",
            Verdict.WARNING,
        ),
    }
    if store.settings.blobs.url != settings.blobs.url:
        blobs = store.blobs
        probes["blobs of the app"] = no_blobs if blobs is None else lambda: blobs_keep(blobs)
    return probes


def index_serves(store: Store) -> str | Defect:
    """Check the index of the app's results; an error names the app's setting."""
    try:
        return serves(store.index)
    except ResultStoreError as error:
        raise type(error)(str(error).replace("RESULTSTORE_INDEX_URL", "the app's result_backend")) from error


def _address(url: str) -> tuple[str, str, str]:
    """Return what names one database: kind of server, hosts and database, without user, password and options."""
    parts = urlsplit(url)
    hosts = [one.rpartition("@")[2].lower().replace("localhost", _THIS_HOST) for one in parts.netloc.split(",")]
    named = ",".join(sorted(one if ":" in one else one + _REDIS_PORT for one in hosts))
    path, database = parts.path.strip("/"), parse_qs(parts.query).get("db", [""])[0]
    # redis-py takes `?db=` before the path, which is a file's if the scheme is unix.
    return parts.scheme, named, f"{path} {database}" if parts.scheme == "unix" else database or path or "0"
