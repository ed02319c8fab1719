"""Settings: given by the caller, else by the environment, else by default; each checked, all that is wrong named."""

import dataclasses

import pytest

from resultstore import BadSetting, Misconfigured, Settings
from resultstore.settings import settings_known


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings_known():
        monkeypatch.delenv(f"RESULTSTORE_{name.upper()}", raising=False)


def test_the_caller_comes_before_the_environment_and_that_before_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RESULTSTORE_RETENTION", "7d")
    monkeypatch.setenv("RESULTSTORE_URL_EXPIRES_S", "60")

    settings = Settings(retention="365d")

    assert (settings.retention, settings.url_expires_s, settings.url_window_s) == ("365d", 60, 300)


@pytest.mark.parametrize(
    ("said", "read"), [("1", True), ("true", True), ("True", True), ("0", False), ("false", False), ("FALSE", False)]
)
def test_words_of_the_environment_become_what_the_setting_is(monkeypatch: pytest.MonkeyPatch, said: str, read: bool):
    monkeypatch.setenv("RESULTSTORE_LOG_JSON", said)
    monkeypatch.setenv("RESULTSTORE_COMMIT_BUDGET_S", "1.5")

    assert (Settings().log_json, Settings().commit_budget_s) == (read, 1.5)


def test_all_that_is_wrong_is_named_at_once_and_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RESULTSTORE_PART_SIZE_BYTES", "5")
    monkeypatch.setenv("RESULTSTORE_URL_EXPIRES_S", "soon")

    with pytest.raises(BadSetting) as wrong:
        Settings(auth="guess", secret_key=["hunter2"])

    names = ("PART_SIZE_BYTES", "URL_EXPIRES_S", "AUTH", "SECRET_KEY")
    assert all(f"RESULTSTORE_{name}: " in str(wrong.value) for name in names)
    assert "hunter2" not in str(wrong.value)
    assert isinstance(wrong.value, Misconfigured)


def test_an_unknown_name_is_no_setting():
    with pytest.raises(TypeError, match="colour"):
        Settings(colour="red")


def test_settings_do_not_change_and_are_copied_with_their_checks():
    settings = Settings(url_expires_s=60)

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.url_expires_s = 61
    assert dataclasses.replace(settings, url_expires_s=61) == Settings(url_expires_s=61) != settings
    with pytest.raises(BadSetting):
        dataclasses.replace(settings, url_expires_s=0)


def test_what_is_secret_is_not_shown():
    names = [name for name in settings_known() if name.endswith(("secret", "secret_key", "_old", "accounts"))]
    assert len(names) == 7
    assert "hunter2" not in repr(Settings(**dict.fromkeys(names, "hunter2")))


def test_the_variables_of_another_process_say_what_they_name_and_this_one_s_the_rest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RESULTSTORE_RETENTION", "7d")

    settings = Settings.of({"RESULTSTORE_INDEX_URL": "memory://", "AWS_PROFILE": "x", "RESULTSTORE_OTHER": "y"})

    assert (settings.index_url, settings.retention) == ("memory://", "7d")
