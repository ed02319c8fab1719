"""Environments with other versions of some packages: constraints/ and scripts/overlay.py."""

import re
import subprocess
import tomllib

import pytest

import overlay
from _access import Failed
from _pins import CONSTRAINTS, VARIANTS, pins_of, version_pinned

PINS = "celery==5.7 \\\n  --hash=sha256:aa \\\n  --hash=sha256:bb\nnumpy==1 ; a \\\n    --hash=sha256:cc\nnumpy==2 \\\n"


def test_pins_keep_hashes_and_markers():
    pins = pins_of(PINS + "    --hash=sha256:dd\n")
    assert pins["celery"].count("--hash") == 2
    assert pins["numpy"].startswith("numpy==1 ; a \\\n")
    assert pins["numpy"].endswith("numpy==2 \\\n    --hash=sha256:dd\n")


def test_every_list_differs_and_is_hashed():
    usual = pins_of(CONSTRAINTS.read_text())
    listed = {path.stem: pins_of(path.read_text()) for path in VARIANTS.glob("*.txt")}
    assert listed.keys() == tomllib.loads((VARIANTS / "variants.toml").read_text()).keys()
    for name, pins in listed.items():
        assert pins, name
        assert all("--hash=sha256:" in pin and usual.get(one) != pin for one, pin in pins.items()), name


def test_list_pins_the_version_of_its_name():
    for path in VARIANTS.glob("celery-*.txt"):
        assert version_pinned("celery", path.read_text()) == path.stem.removeprefix("celery-")


def test_usual_version_needs_no_environment():
    usual = version_pinned("celery", CONSTRAINTS.read_text())
    assert overlay.overlay([f"celery-{usual}"]) == overlay.BASE / "bin" / "python"


def test_unknown_version_names_the_known_ones():
    with pytest.raises(Failed, match=r"celery-1\.0\.0; there are celery-5\.4\.0"):
        overlay.overlay(["celery-1.0.0"])


def test_package_with_another_hash_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(overlay, "FOLDER", tmp_path)
    wrong = re.sub(r"sha256:\w+", "sha256:" + "0" * 64, (VARIANTS / "redis-py-7.txt").read_text())
    with pytest.raises(Failed, match="require-hashes"):
        overlay._made(tmp_path / "one", wrong, program=overlay.BASE / "bin" / "python", below=overlay.BASE)
    assert not (tmp_path / "one" / "stamp").exists()


def test_overlay_has_its_own_packages_first(tmp_path, monkeypatch):
    monkeypatch.setattr(overlay, "FOLDER", tmp_path)
    program = overlay.overlay(["redis-py-7"])
    code = "import redis, celery, resultstore; print(redis.__version__, redis.__file__, celery.__file__)"
    version, redis_file, celery_file = subprocess.check_output([program, "-c", code], text=True).split()
    assert version == version_pinned("redis", (VARIANTS / "redis-py-7.txt").read_text())
    assert redis_file.startswith(str(tmp_path))
    assert celery_file.startswith(str(overlay.BASE))
