"""Settings: from the caller, else the environment, else the default; each checked, all wrong ones named."""

import dataclasses

import pytest

from resultstore import BadSetting, Misconfigured, Settings
from resultstore.settings import attributes, settings_known


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings_known():
        monkeypatch.delenv(f"RESULTSTORE_{name.upper()}", raising=False)


def test_caller_precedes_environment_precedes_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RESULTSTORE_RETENTION", "7d")
    monkeypatch.setenv("RESULTSTORE_URL_EXPIRES_S", "60")

    settings = Settings(retention="365d")

    assert (settings.results.retention, settings.urls.expires_s, settings.urls.window_s) == ("365d", 60, 300)


@pytest.mark.parametrize(
    ("said", "read"), [("1", True), ("true", True), ("True", True), ("0", False), ("false", False), ("FALSE", False)]
)
def test_environment_is_converted_to_the_type(monkeypatch: pytest.MonkeyPatch, said: str, read: bool):
    monkeypatch.setenv("RESULTSTORE_LOG_JSON", said)
    monkeypatch.setenv("RESULTSTORE_COMMIT_BUDGET_S", "1.5")

    assert (Settings().telemetry.log_json, Settings().results.commit_budget_s) == (read, 1.5)


def test_all_wrong_values_are_named_without_secrets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RESULTSTORE_PART_SIZE_BYTES", "5")
    monkeypatch.setenv("RESULTSTORE_URL_EXPIRES_S", "soon")

    with pytest.raises(BadSetting) as wrong:
        Settings(auth="guess", secret_key=["hunter2"])

    names = ("PART_SIZE_BYTES", "URL_EXPIRES_S", "AUTH", "SECRET_KEY")
    assert all(f"RESULTSTORE_{name}: " in str(wrong.value) for name in names)
    assert "hunter2" not in str(wrong.value)
    assert isinstance(wrong.value, Misconfigured)


def test_unknown_name_is_refused():
    with pytest.raises(TypeError, match="colour"):
        Settings(colour="red")


def test_settings_are_frozen_and_copies_checked():
    settings = Settings(url_expires_s=60)

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.urls.expires_s = 61
    assert dataclasses.replace(settings, url_expires_s=61) == Settings(url_expires_s=61) != settings
    with pytest.raises(BadSetting):
        dataclasses.replace(settings, url_expires_s=0)


def test_repr_shows_no_secret():
    names = [name for name in settings_known() if name.endswith(("secret", "secret_key", "_old", "accounts"))]
    assert len(names) == 7
    assert "hunter2" not in repr(Settings(**dict.fromkeys(names, "hunter2")))


def test_other_environment_is_completed_by_ours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RESULTSTORE_RETENTION", "7d")

    settings = Settings.of({"RESULTSTORE_INDEX_URL": "memory://", "AWS_PROFILE": "x", "RESULTSTORE_OTHER": "y"})

    assert (settings.index.url, settings.results.retention) == ("memory://", "7d")


def test_group_is_taken_whole():
    base = Settings(s3_endpoint="http://127.0.0.1:9000", quota_running=7)

    copied = Settings(s3=base.s3, quota_running=8)

    assert (copied.s3, copied.quotas.running) == (base.s3, 8)
    assert dataclasses.replace(base, quota_running=8).s3.endpoint == "http://127.0.0.1:9000"


def test_flat_name_still_reads_with_a_warning():
    settings = Settings(s3_endpoint="http://127.0.0.1:9000")

    with pytest.warns(DeprecationWarning, match=r"settings\.s3\.endpoint"):
        flat = settings.s3_endpoint  # read by its flat name on purpose

    assert flat == settings.s3.endpoint
    with pytest.raises(AttributeError, match="no setting 's3_colour'"):
        _ = settings.s3_colour


def test_every_name_is_an_attribute_once():
    places = list(attributes().values())

    assert len(set(places)) == len(places) == len(settings_known())
