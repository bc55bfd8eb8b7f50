"""The laws of the house that import-linter cannot show, read from the syntax trees; and import-linter itself as a test."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from infra.packages import PACKAGES
from infra.settings import CODE_ROOT

LONGEST_FUNCTION_LINES = 40
LONGEST_MODULE_LINES = 400
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
LANCE_WRITES = {
    "write_dataset", "write_lance", "write_fragments", "merge_insert", "merge_columns", "LanceOperation", "create_scalar_index",
    "create_index", "optimize_indices", "drop_index",
}  # fmt: skip


@cache
def modules() -> dict[str, ast.Module]:
    """Path below the root to syntax tree, for every module of ours."""
    paths = [path for package in PACKAGES for path in sorted((CODE_ROOT / package).rglob("*.py"))]
    return {path.relative_to(CODE_ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def found(where: Callable[[ast.AST], bool], *, allowed: set[str] | None = None) -> list[str]:
    """``path:line`` of every node that `where` picks outside the allowed modules."""
    return [
        f"{path}:{getattr(node, 'lineno', 0)}"
        for path, tree in modules().items()
        if path not in (allowed or set())
        for node in ast.walk(tree)
        if where(node)
    ]


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for a chain of attributes on a name, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and dotted(node.value):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def test_import_linter_finds_every_contract_kept(tmp_path):
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=sys.argv[1], no_logo=True))"
    finished = subprocess.run(           # in its own process: it sets up logging anew, which silences existing loggers
        [sys.executable, "-c", lint, str(tmp_path)], cwd=CODE_ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_only_settings_reads_the_environment():
    def reads(node: ast.AST) -> bool:
        read = dotted(node) in ("os.environ", "os.getenv", "os.environb", "os.putenv")
        return read or _takes(node, "os", {"environ", "getenv"})

    assert found(reads, allowed={"infra/settings.py"}) == []


def test_only_the_session_starts_ray():
    assert found(lambda node: isinstance(node, ast.Call) and dotted(node.func) == "ray.init", allowed={"infra/session.py"}) == []
    assert found(lambda node: _takes(node, "ray", {"init"})) == []


def test_only_commit_writes_lance():
    def writes(node: ast.AST) -> bool:
        named = isinstance(node, ast.Attribute) and node.attr in LANCE_WRITES
        return named or (isinstance(node, ast.ImportFrom) and any(name.name in LANCE_WRITES for name in node.names))

    assert found(writes, allowed={"curation/commit.py"}) == []


def test_our_packages_are_never_imported_as_names():
    """``import eval`` would rebind the builtin; ``from eval.report import ...`` does not."""

    def imports_a_package(node: ast.AST) -> bool:
        return isinstance(node, ast.Import) and any(name.name.partition(".")[0] in PACKAGES for name in node.names)

    assert found(imports_a_package) == []


def test_ray_train_never_takes_the_name_of_our_package():
    assert found(lambda node: _takes(node, "ray", {"train"})) == []


def test_no_file_is_named_like_a_package_or_like_nothing():
    stems = {path: Path(path).stem for path in modules()}
    assert [path for path, stem in stems.items() if stem in PACKAGES] == []
    assert [path for path, stem in stems.items() if stem in NAMES_THAT_SAY_NOTHING] == []


def test_every_folder_of_code_is_a_package_and_no_folder_of_tests_is():
    folders = {Path(path).parent for path in modules()}
    assert [str(folder) for folder in folders if not (CODE_ROOT / folder / "__init__.py").exists()] == []
    assert list((CODE_ROOT / "tests").rglob("__init__.py")) == []


def test_package_fronts_hold_no_logic():
    """At most a docstring, imports, a union and `build`; `models` also runs the torchvision shim."""
    fronts = {path: tree for path, tree in modules().items() if path.endswith("__init__.py") and path != "models/__init__.py"}
    functions = {path: [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] for path, tree in fronts.items()}
    assert {path: names for path, names in functions.items() if set(names) - {"build"}} == {}
    assert [path for path, tree in fronts.items() if any(isinstance(node, ast.ClassDef) for node in tree.body)] == []


def test_nothing_runs_at_import_but_the_shim():
    """No call stands alone at the top of a module, so importing makes no folder, reads no file and starts nothing."""
    lonely = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert [place for place in lonely if not place.startswith("models/__init__.py:")] == []


def test_functions_and_modules_stay_readable():
    lengths = {f"{path}:{node.lineno} {node.name}": length for path, node, length in _functions()}
    assert {place: length for place, length in lengths.items() if length > LONGEST_FUNCTION_LINES} == {}
    lines = {path: len((CODE_ROOT / path).read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: count for path, count in lines.items() if count > LONGEST_MODULE_LINES} == {}


def test_signatures_name_their_types():
    """No `Any` in a signature: a type of our own says more, and the checker can follow it."""
    unclear = [
        f"{path}:{node.lineno} {node.name}"
        for path, node, _ in _functions()
        for annotation in [*(argument.annotation for argument in _arguments(node)), node.returns]
        if annotation is not None and any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(annotation))
    ]
    assert unclear == []


def test_configurations_are_frozen_and_refuse_unknown_settings():
    loose = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config") and "BaseModel" in map(dotted, node.bases)
        if not {"frozen", "extra"} <= {keyword.arg for keyword in node.keywords}
    ]
    assert loose == []


@pytest.mark.parametrize(
    ("source", "law"),
    [
        ("import os\nhome = os.environ['HOME']\n", test_only_settings_reads_the_environment),
        ("import ray\nray.init()\n", test_only_the_session_starts_ray),
        ("import lance\nlance.write_dataset(table, uri)\n", test_only_commit_writes_lance),
        ("import eval.report\n", test_our_packages_are_never_imported_as_names),
        ("from ray import train\n", test_ray_train_never_takes_the_name_of_our_package),
        ("print('hello')\n", test_nothing_runs_at_import_but_the_shim),
        ("class XConfig(BaseModel):\n    x: int\n", test_configurations_are_frozen_and_refuse_unknown_settings),
        ("def f(x: dict[str, Any]) -> None: ...\n", test_signatures_name_their_types),
    ],
)
def test_each_law_notices_a_breach(monkeypatch, source, law):
    monkeypatch.setitem(modules(), "pipelines/breach.py", ast.parse(source))
    with pytest.raises(AssertionError, match=r"pipelines/breach\.py"):
        law()


def _functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node, (node.end_lineno or node.lineno) - node.lineno + 1


def _takes(node: ast.AST, module: str, names: set[str]) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == module and any(name.name in names for name in node.names)


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, *filter(None, (node.args.vararg, node.args.kwarg))]
