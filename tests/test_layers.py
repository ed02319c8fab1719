"""Layers and measures of the source, checked by reading it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.layers import (
    CORE,
    DRIVERS,
    LEVEL,
    READS_ENVIRONMENT,
    SEPARATE,
    THIRD_PARTY,
    TYPES_ONLY,
    USES_DRIVERS,
)

HERE = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 45
MAX_CONTRACT_METHODS = 5
MAX_PACKAGE_LINES = 3
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}

# Split so that this file passes its own test.
REGISTRIES = ["pypi" + ".org", "python" + "hosted.org", "proxy.golang" + ".org", "npmjs" + ".org", "crates" + ".io"]
REGISTRIES += ["repo.maven" + ".apache.org", "deb.debian" + ".org", "docker" + ".io", "ghcr" + ".io", "quay" + ".io"]
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/tmp/" + "w/"]


@cache
def tracked() -> tuple[Path, ...]:
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=HERE, text=True).split("\0")
    return tuple(HERE / name for name in names if name and (HERE / name).is_file())


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (HERE / folder).rglob("*.py"))


def programs() -> list[Path]:
    return [*sources("resultstore", "tasks", "scripts", "benchmarks", "tests"), HERE / "scripts/services"]


def module_name(path: Path) -> str:
    parts = path.relative_to(HERE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> frozenset[str]:
    """The full names of the modules that a file imports, wherever in it; `from package import module` names both."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import; write the full name"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


@cache
def graph() -> dict[str, set[str]]:
    """Every module of the package with those of the package that it imports."""
    modules = {module_name(path): path for path in sources("resultstore")}
    # `from resultstore.model import layout` names the package too, yet needs only the module.
    return {
        name: {used for used in imports(path) & modules.keys() if not (is_package(used) and below(used, imports(path)))}
        for name, path in modules.items()
    }


def is_package(module: str) -> bool:
    return (HERE / module.replace(".", "/")).is_dir()


def below(parent: str, names: frozenset[str]) -> bool:
    known = {module_name(path) for path in sources(parent.replace(".", "/"))}
    return any(name.startswith(f"{parent}.") for name in names & known)


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def longest_prefix(module: str, table: dict) -> str:
    return max((name for name in table if f"{module}.".startswith(f"{name}.")), key=len, default="")


def reachable(module: str) -> set[str]:
    seen, ahead = set(), [module]
    while ahead:
        for used in graph().get(ahead.pop(), set()) - seen:
            seen.add(used)
            ahead.append(used)
    return seen


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_package_has_its_layer():
    packages = {package(name) for name in graph()} - {""}
    assert packages == set(LEVEL), "name new packages in LAYERS, and take old ones out"


def test_imports_point_down():
    wrong = [
        f"{name} -> {used}"
        for name, uses in graph().items()
        for used in uses
        if package(name)
        and package(used) != package(name)
        and (not package(used) or LEVEL[package(used)] >= LEVEL[package(name)])
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.parametrize("drivers", SEPARATE, ids=lambda drivers: drivers[0])
def test_drivers_never_import_each_other(drivers):
    for driver in drivers:
        assert driver in graph(), f"{driver} is gone: take it out of this test"
        assert reachable(driver).isdisjoint(set(drivers) - {driver})


def test_only_connect_knows_the_drivers():
    wrong = [
        f"{name} -> {used}"
        for name, uses in graph().items()
        for used in uses & DRIVERS - USES_DRIVERS.get(longest_prefix(name, USES_DRIVERS), set())
        if package(name) != package(used)
    ]
    assert wrong == []


def test_a_backend_never_imports_another_one():
    for name, uses in graph().items():
        if package(name) == "backends" and name.count("."):
            mine = ".".join(name.split(".")[:3])
            assert not [used for used in uses if package(used) == "backends" and not used.startswith(mine)], name


def test_only_settings_reads_the_environment():
    readers = {
        str(path.relative_to(HERE))
        for path in sources("resultstore", "tasks")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
    }
    assert readers <= READS_ENVIRONMENT


def test_tasks_use_the_public_api_only():
    for path in sources("tasks"):
        ours = {name for name in imports(path) if name.startswith("resultstore.")}
        public = {name for name in ours if name.count(".") == 1 and name.split(".")[1][0].isupper()} | {
            "resultstore.connect",
            "resultstore.backends",
        }
        backend = {name for name in ours if name.startswith("resultstore.backends.celery")}
        assert ours <= public | backend, path.name
        assert all(len(name.split(".")) <= 4 for name in backend), f"{path.name} imports a private module"


def test_each_package_imports_only_what_its_extra_brings():
    wrong = []
    for path in sources("resultstore"):
        name = module_name(path)
        allowed = THIRD_PARTY[longest_prefix(name, THIRD_PARTY)] | {"resultstore"} | sys.stdlib_module_names
        foreign = {used.split(".")[0] for used in imports(path)} - allowed - TYPES_ONLY
        wrong += [f"{name}: {one}" for one in foreign]
    assert wrong == []


def test_the_core_stays_light():
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", one).group().replace("-", "_") for one in project["dependencies"]}
    assert names ^ CORE == {"botocore"}, "it comes with boto3"


def test_files_and_functions_can_be_read_at_once():
    long_files = [
        f"{path.relative_to(HERE)}: {n}"
        for path in programs()
        if (n := len(path.read_text().splitlines())) > MAX_FILE_LINES
    ]
    long_functions = [
        f"{path.relative_to(HERE)}: {function.name}"
        for path in programs()
        for function in functions(path)
        if code_lines(function) > MAX_FUNCTION_LINES
    ]
    assert (long_files, long_functions) == ([], [])


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without the docstring: a public function may say much about little."""
    documented = function.body[0] if ast.get_docstring(function) else None
    words = documented.end_lineno - documented.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - words


def test_a_contract_has_at_most_five_methods():
    """Properties do not count: they group the operations of a noun (`index.keys`, `index.events`)."""
    contracts = {
        node.name: [part.name for part in node.body if isinstance(part, ast.FunctionDef) and not is_property(part)]
        for path in sources("resultstore", "tasks")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and any(getattr(one, "id", "") == "Protocol" for one in node.bases)
    }
    assert {"BlobStore", "Signer", "Index", "Listing", "OwnerLists", "Keys", "Events"} <= set(contracts)
    assert {name: len(methods) for name, methods in contracts.items() if len(methods) > MAX_CONTRACT_METHODS} == {}


def is_property(function: ast.FunctionDef) -> bool:
    return any(getattr(one, "id", "") == "property" for one in function.decorator_list)


def test_modules_have_clear_names_and_docstrings():
    for path in programs():
        assert path.stem.strip("_") not in FORBIDDEN_NAMES, path
        assert ast.get_docstring(tree(path)), f"{path} opens without a sentence"


def test_every_package_says_what_belongs_there():
    said = {
        path: ast.get_docstring(tree(path)) or "" for path in sources("resultstore", "tasks") if path.stem == "__init__"
    }
    assert [str(path) for path, text in said.items() if not 1 <= len(text.splitlines()) <= MAX_PACKAGE_LINES] == []


def test_no_class_name_means_two_things():
    where: dict[str, list[str]] = {}
    for path in sources("resultstore", "tasks", "scripts"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(str(path.relative_to(HERE)))
    twice = {name: paths for name, paths in where.items() if len(paths) > 1}
    # What users of each framework import, and what each framework calls a middleware.
    assert set(twice) == {"ResultStoreBackend", "CaptureMiddleware"}
    assert all(path.startswith("resultstore/backends/") for paths in twice.values() for path in paths)


def test_no_file_names_registry_or_machine_path():
    found = []
    for path in tracked():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(HERE)}: {word}" for word in REGISTRIES + MACHINE_PATHS if word in text]
    assert found == []


def test_the_readme_opens_with_the_two_commands():
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```", (HERE / "README.md").read_text())
    first = "".join(blocks[:2])
    assert 0 <= first.find("make demo") < first.find("make test")
