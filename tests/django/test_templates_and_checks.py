"""The template tags, and what `manage.py check` reports."""

import io

import pytest
from celery.signals import import_modules
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from resultstore.backends.celery import store_of

pytestmark = pytest.mark.usefixtures("project")


def rendered(text: str, **context: object) -> str:
    from django.template import engines  # noqa: PLC0415 - only after Django's setup

    return engines["django"].from_string("{% load resultstore %}" + text).render(context)


@pytest.fixture
def artifact(app):
    return store_of(app).put(b"content", name="a <b>.txt")


def test_link_leads_to_the_object_store(artifact, environment):
    page = rendered("{% artifact_link file %} {% artifact_link file 'Get it' %}", file=artifact)

    assert page.count(f'<a href="{environment["SHOP_S3_ENDPOINT"]}/') == 2
    assert "a &lt;b&gt;.txt</a>" in page
    assert "Get it</a>" in page


def test_artifacts_of_a_result_can_be_listed(artifact):
    page = rendered(
        "{% artifacts_of id as files %}"
        "{% for one in files %}{% artifact_url one as url %}{{ url|slice:':4' }} {% endfor %}",
        id=artifact.id,
    )

    assert page == "http "


@pytest.mark.parametrize("result_id", ["", None, "unknown"])
def test_result_that_has_not_ended_has_no_artifacts(result_id):
    assert rendered("{% artifacts_of id as files %}{{ files|length }}", id=result_id) == "0"


def found(**options: object) -> dict[str, str]:
    return {one.id: f"{one.level} {one.hint}" for one in run_checks(tags=["resultstore"], **options)}


def test_checks_find_nothing_in_a_sound_project(worker):
    assert found(include_deployment_checks=True) == {}


def test_unknown_variable_is_a_warning(monkeypatch):
    monkeypatch.setenv("RESULTSTORE_BLOB_URL", "x")

    assert "resultstore.settings" in found()


def test_app_without_resultstore_is_an_error():
    with (
        override_settings(RESULTSTORE_CELERY_APP="tests.django.other_jobs:app"),
        pytest.raises(SystemCheckError, match="result backend is not resultstore"),
    ):
        call_command("check", tag=["resultstore"], stderr=io.StringIO())


def test_unknown_app_is_an_error():
    with override_settings(RESULTSTORE_CELERY_APP="no_such_module:app"):
        assert "RESULTSTORE_CELERY_APP" in found()["resultstore.secret_key"]


def test_checks_that_a_worker_runs_do_not_recurse(worker):
    """Celery runs Django's checks whenever it imports the modules of tasks."""
    runs = []

    def on_import(**_: object) -> None:
        runs.append("checks")
        assert len(runs) < 5
        assert found() == {}

    import_modules.connect(on_import)
    try:
        assert found(include_deployment_checks=True) == {}
    finally:
        import_modules.disconnect(on_import)
    assert runs == ["checks"]


def test_deployment_check_asks_the_index():
    with override_settings(RESULTSTORE_CELERY_APP="tests.django.away_jobs:app"):
        assert "resultstore.index" not in found()
        assert found(include_deployment_checks=True)["resultstore.index"].startswith("40 ")
