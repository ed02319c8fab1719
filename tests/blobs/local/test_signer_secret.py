"""The secret of a folder: one for all processes, readable by its owner only, too long to guess."""

import multiprocessing
import stat

import pytest

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner, folder_secret
from resultstore.model.errors import Misconfigured


def test_a_short_secret_is_refused():
    with pytest.raises(Misconfigured, match="RESULTSTORE_SECRET_KEY"):
        LocalSigner(b"short", "http://x")


def test_folder_has_one_secret_for_its_owner(tmp_path):
    root = tmp_path / "new" / "folder"

    secret = folder_secret(root)

    assert len(secret) == 64
    assert folder_secret(root) == secret
    assert folder_secret(tmp_path / "other") != secret
    assert stat.S_IMODE((root / ".secret").stat().st_mode) == 0o600
    assert list(LocalBlobs(root).list("")) == []
    assert list((root / ".drafts").iterdir()) == []


def test_processes_that_start_together_agree_on_the_secret(tmp_path):
    context = multiprocessing.get_context("fork")

    for turn in range(10):
        gate, answers = context.Barrier(6), context.Queue()

        def make(root=tmp_path / str(turn), gate=gate, answers=answers):
            gate.wait(30)
            answers.put(folder_secret(root))

        processes = [context.Process(target=make) for _ in range(6)]
        for process in processes:
            process.start()
        secrets = {answers.get(timeout=30) for _ in processes}
        for process in processes:
            process.join(30)
        assert len(secrets) == 1


def test_a_secret_that_others_may_read_is_refused(tmp_path):
    folder_secret(tmp_path)
    (tmp_path / ".secret").chmod(0o640)

    with pytest.raises(Misconfigured, match="chmod 600"):
        folder_secret(tmp_path)


def test_a_damaged_secret_is_refused(tmp_path):
    folder_secret(tmp_path)
    (tmp_path / ".secret").write_bytes(b"")

    with pytest.raises(Misconfigured, match="damaged"):
        folder_secret(tmp_path)
