"""Everything that the source imports is declared in pyproject.toml and pinned with hashes."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())
# `t` is the suite in Celery's source distribution, which `make conformance` fetches.
OURS = {
    "resultstore",
    "resultstore_tasks",
    "tests",
    "benchmarks",
    "hatch_build",
    "t",
    *(path.stem for path in (HERE / "scripts").glob("*.py")),
}
# What always comes with a declared distribution, since its documentation imports it.
COMES_WITH = {
    "amqp": "celery",
    "anyio": "fastapi",
    "billiard": "celery",
    "botocore": "boto3",
    "cryptography": "moto",
    "kombu": "celery",
    "packaging": "build",
    "pillow": "reportlab",
    "pydantic-core": "pydantic",
    "starlette": "fastapi",
    "urllib3": "boto3",
}
TYPES_ONLY = {"mypy_boto3_s3"}
# What only pytest or universal-pathlib loads, as its plugin, is there whenever that module is.
LOADED_BY = {"resultstore": {"pytest", "upath"}}


def name(requirement: str) -> str:
    """The distribution that a requirement is about, as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement).group()).lower()


def declared(*, for_development: bool) -> set[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    groups = PROJECT["dependency-groups"].values() if for_development else []
    lists = [PROJECT["project"]["dependencies"], *extras, *groups]
    return {name(one) for each in lists for one in each if isinstance(one, str)}


def declared_for_works_with() -> set[str]:
    """What `make works-with` installs in an environment of its own, for the tests that it alone runs."""
    variants = tomllib.loads((HERE / "constraints" / "variants.toml").read_text())
    return {name(one) for one in variants["works-with"]["needs"]}


def declared_for_the_demo() -> set[str]:
    """What the `demo` extra names, by itself and by the extras that it gathers."""
    extras = PROJECT["project"]["optional-dependencies"]
    gathered = [
        extra for one in extras["demo"] if (found := re.search(r"\[(.+)\]", one)) for extra in found[1].split(",")
    ]
    lists = [PROJECT["project"]["dependencies"], *(extras[each] for each in ["demo", *gathered])]
    return {name(one) for each in lists for one in each} - {"resultstore"}


def imported(folder: str) -> set[str]:
    """The top-level names that the files of a folder import, without the standard library's and ours."""
    found = set()
    for path in (HERE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"files", "import_module"}:
                # A package that is named and never imported: importlib.resources.files("fonts").
                found |= {word.value.split(".")[0] for word in node.args if isinstance(word, ast.Constant)}
    beside = {path.stem for path in (HERE / folder).rglob("*.py")} if folder == "tests" else set()
    return found - sys.stdlib_module_names - OURS - TYPES_ONLY - beside - LOADED_BY.get(folder, set())


def pinned(file: str) -> set[str]:
    return {name(line) for line in (HERE / file).read_text().splitlines() if re.match(r"[\w.-]+==", line)}


def left_to_projects() -> set[str]:
    """What constraints-pip.txt leaves out, since a project that uses resultstore chooses it."""
    lines = (HERE / "constraints" / "left-to-projects.list").read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


@pytest.mark.parametrize("folder", ["resultstore", "tasks", "tests", "benchmarks"])
def test_each_import_is_of_a_declared_distribution(folder):
    providers = packages_distributions()
    known = declared(for_development=folder in {"tests", "benchmarks"})
    known |= declared_for_works_with() if folder == "tests" else set()
    undeclared = {
        top
        for top in imported(folder)
        if not {COMES_WITH.get(name(dist), name(dist)) for dist in providers.get(top, [top])} & known
    }
    assert undeclared == set()


def test_dependencies_are_pinned_with_equal_versions():
    everything, demo = pinned("constraints.txt"), pinned("constraints-demo.txt")
    assert declared(for_development=True) - {"resultstore"} <= everything
    assert declared_for_the_demo() <= demo
    for file in ("constraints.txt", "constraints-demo.txt"):
        for requirement in re.split(r"\n(?=\S)", (HERE / file).read_text().strip()):
            assert "--hash=sha256:" in requirement, requirement.partition("\n")[0]
    versions = set(re.findall(r"(?m)^[\w.-]+==\S+", (HERE / "constraints.txt").read_text()))
    for file in ("constraints-demo.txt", "constraints-pip.txt"):
        assert set(re.findall(r"(?m)^[\w.-]+==\S+", (HERE / file).read_text())) <= versions


def test_constraints_for_pip_have_neither_hashes_nor_extras():
    lines = (HERE / "constraints-pip.txt").read_text().splitlines()

    assert declared(for_development=False) - {"resultstore"} <= pinned("constraints-pip.txt") | left_to_projects()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; .+)?", line)] == []


def test_constraints_for_pip_leave_projects_their_frameworks():
    left = left_to_projects()
    frameworks = {"celery", "kombu", "billiard", "vine", "amqp", "redis", "hiredis"}
    frameworks |= {"django", "dramatiq", "taskiq", "fastapi", "starlette", "pydantic", "numpy", "boto3"}

    assert frameworks <= left <= pinned("constraints.txt")
    assert pinned("constraints-pip.txt") & left == set()


def test_released_together_is_left_out_together():
    left = left_to_projects()
    # What a version of a left-out package demands in exactly one version, or in a range below the next minor version.
    tied = {
        (one, name(requirement))
        for one in left
        for requirement in requires(one) or []
        if "extra ==" not in requirement and re.search(r"==\s*\d|<\s*\d+\.[1-9]", requirement.partition(";")[0])
    }

    assert tied
    assert {pair for pair in tied if pair[1] in pinned("constraints-pip.txt")} == set()
