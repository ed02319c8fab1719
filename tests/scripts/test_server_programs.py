"""Programs of other servers: scripts/_server_programs.py."""

import os
import subprocess
import sys

import pytest

import _install
import _server_programs
from _access import Failed

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(_server_programs, "FOLDER", tmp_path / "servers")
    return tmp_path / "servers"


@pytest.fixture
def repository(tmp_path):
    """A repository whose makefile writes the program of a server."""
    made = tmp_path / "repository"
    made.mkdir()
    (made / "Makefile").write_text("redis-server:\n\techo '#!/bin/sh' > $@; chmod +x $@\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "1.0"]):
        subprocess.run([*GIT, *words], cwd=made, check=True)
    return made


def entry(repository, commit):
    return {"git": repository.as_uri(), "tag": "1.0", "commit": commit, "program": "redis-server"}


def commit_of(repository):
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=repository, text=True).strip()


def test_pinned_commit_is_built(folder, repository, monkeypatch):
    monkeypatch.setattr(_server_programs, "servers", lambda: {"one": entry(repository, commit_of(repository))})
    made = _server_programs.server_folder(["one"])
    assert os.access(made / "redis-server", os.X_OK)


def test_tag_of_another_commit_is_refused(folder, repository, monkeypatch):
    monkeypatch.setattr(_server_programs, "servers", lambda: {"one": entry(repository, "0" * 40)})
    with pytest.raises(Failed, match=f"1.0 is commit {commit_of(repository)} and not 000"):
        _server_programs.server_folder(["one"])


def test_unreachable_repository_is_reported(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(_server_programs, "servers", lambda: {"one": entry(tmp_path / "none", "0" * 40)})
    with pytest.raises(Failed, match=r"git .* failed with exit code"):
        _server_programs.server_folder(["one"])


def test_usual_servers_need_no_folder():
    assert _server_programs.server_folder([]) is None


def test_chosen_programs_come_first(tmp_path, monkeypatch):
    for name in ("redis-server", "rabbitmq-server", "epmd"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    code = "import _install; print(_install._found('rabbitmq-server'), _install._found('redis-server'))"
    env = os.environ | {"RS_SERVER_PROGRAMS": str(tmp_path), "PYTHONPATH": str(_install.__file__).rpartition("/")[0]}
    said = subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split()
    assert said == [str(tmp_path / "rabbitmq-server"), str(tmp_path / "redis-server")]
