"""The size budget of CONTRIBUTING.md: printed, and held."""

import ast
import statistics
from functools import cache
from pathlib import Path

import pytest

import histome

SOURCE = Path(histome.__file__).parent
# Tables of data, not logic: they may be long.
LONG_TABLES: set[str] = set()
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, ast.Module]:
    paths = sorted(SOURCE.rglob("*.py"))
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths
    }


@cache
def functions() -> list[tuple[str, FunctionNode]]:
    return [
        (f"{name}:{node.lineno} {node.name}", node)
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, FunctionNode)
    ]


def length(node: FunctionNode) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters(node: FunctionNode) -> list[ast.arg]:
    args = node.args
    names = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    return [arg for arg in names if arg.arg not in ("self", "cls")]


def test_functions_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = {name: length(node) for name, node in functions()}
    ordered = sorted(lengths.values())
    median, p90, longest = statistics.median(ordered), ordered[int(0.9 * len(ordered))], ordered[-1]
    with capsys.disabled():
        print(f"\n{len(ordered)} functions: median {median:g}, p90 {p90}, longest {longest} lines")
    assert median <= 10
    assert p90 <= 35
    assert [name for name, lines in lengths.items() if lines > 80] == []


def test_modules_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = {name: len((SOURCE / name).read_text(encoding="utf-8").splitlines()) for name in modules()}
    with capsys.disabled():
        print(f"\n{len(lengths)} modules: longest {max(lengths.values())} lines")
    assert [name for name, lines in lengths.items() if lines > 400 and name not in LONG_TABLES] == []


def test_functions_take_few_parameters() -> None:
    # Those of a command are its options, which --help lists; in Python `profile` has nearly the same.
    def limit(name: str) -> int:
        return 19 if name.startswith("cli/") else 9 if name.endswith(" profile") else 7

    crowded = [name for name, node in functions() if len(parameters(node)) > limit(name)]
    assert crowded == []


def test_inheritance_is_shallow() -> None:
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def depth(name: str) -> int:
        return 1 + max((depth(base) for base in bases[name] if base in bases), default=0)

    # Depth counts our own classes: a class, its base, and that base's base at most.
    assert {name: depth(name) for name in bases if depth(name) > 3} == {}


def test_no_catch_all_modules() -> None:
    forbidden = {"utils", "common", "helpers", "core", "misc"}
    assert [name for name in modules() if forbidden & set(Path(name).with_suffix("").parts)] == []
