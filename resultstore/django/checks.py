"""System checks: the part of `resultstore doctor` that costs little; with `--deploy` it asks the index as well."""

from collections.abc import Iterator, Mapping

from django.core.checks import CheckMessage, Error, Warning as CheckWarning, register

from resultstore.backends.celery.doctoring import check_capture
from resultstore.django.celery_app import celery_app, project_store
from resultstore.ops.doctor import Probe, Verdict, examine, secret_key
from resultstore.ops.index_memory import memory_probes
from resultstore.ops.index_rights import serves
from resultstore.ops.settings_check import check_certificates, check_variables, settings_probes

TAG = "resultstore"


@register(TAG)
def check_settings(**_: object) -> list[CheckMessage]:
    """Check the settings and the result backend. Sends no request, since every command of manage.py runs it."""
    probes: dict[str, Probe] = {
        "settings": check_variables,
        "certificates": check_certificates,
        "secret key": lambda: secret_key(project_store().settings),
    }
    return list(_messages(probes))


@register(TAG, deploy=True)
def check_servers(**_: object) -> list[CheckMessage]:
    """Check public addresses, the index and the tasks of the app: `manage.py check --deploy`."""
    if check_settings():
        return []  # reported already, and the same cause
    store, app = project_store(), celery_app()
    app.loader.import_default_modules()
    probes: dict[str, Probe] = {
        **{name: probe for name, probe in settings_probes(store.settings).items() if name == "public addresses"},
        "index": lambda: serves(store.index),
        **memory_probes(store.index),
        "tasks captured": lambda: check_capture(app),
    }
    return list(_messages(probes, requires={"index memory": "index"}))


def _messages(probes: Mapping[str, Probe], *, requires: Mapping[str, str] | None = None) -> Iterator[CheckMessage]:
    for found in examine(probes, requires=requires):
        if found.verdict is not Verdict.OK:
            kind = Error if found.verdict is Verdict.WRONG else CheckWarning
            yield kind(found.text, hint=found.remedy, id=f"resultstore.{found.name.replace(' ', '_')}")
