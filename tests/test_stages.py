"""The graph of stages: what makes a stage anew, and that the code it names is the code it runs."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import histome
from histome import pipeline
from histome.pipeline import STAGES
from histome.store import graph
from histome.store.graph import Stage, stage_keys, with_ancestors

SOURCE = Path(histome.__file__).parent
# Settings stand in the keys by their values; these decide how fast and where, never what.
WITHOUT_RESULT = {
    "config.py",
    "errors.py",
    "threads.py",
    "temporary.py",
    "compiled.py",
    "faces.py",
    "names.py",
    "__init__.py",
}
FACE = "__init__.py"
GRAPH = [
    Stage("a"),
    Stage("b", after=("a",)),
    Stage("c", after=("a",)),
    Stage("d", after=("b", "c")),
]


def changed(**changes: Stage) -> set[str]:
    """Names of the stages whose key changes with a stage."""
    before = stage_keys(GRAPH, {"slide": "s"})
    after = stage_keys([changes.get(stage.name, stage) for stage in GRAPH], {"slide": "s"})
    return {name for name in before if before[name] != after[name]}


def test_a_changed_stage_changes_what_reads_it_and_nothing_else() -> None:
    assert changed(a=GRAPH[0]._replace(inputs={"x": 1})) == {"a", "b", "c", "d"}
    assert changed(b=GRAPH[1]._replace(inputs={"x": 1})) == {"b", "d"}
    assert changed(d=GRAPH[3]._replace(inputs={"x": 1})) == {"d"}


def test_another_slide_changes_all_keys() -> None:
    one, two = (stage_keys(GRAPH, {"slide": name}) for name in "st")
    assert not set(one.items()) & set(two.items())


def test_a_stage_more_leaves_the_others_as_they_are() -> None:
    more = [*GRAPH[:2], Stage("embeddings", after=("a",)), *GRAPH[2:]]
    assert stage_keys(GRAPH, {}).items() <= stage_keys(more, {}).items()


def test_ancestors_are_wanted_too() -> None:
    assert with_ancestors(("c",), GRAPH) == ("a", "c")
    assert with_ancestors(("d", "b"), GRAPH) == ("a", "b", "c", "d")


def test_an_edited_line_makes_anew_the_stages_whose_code_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cells/find.py", "report/html.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(graph.histome, "__file__", str(tmp_path / "__init__.py"))
    cells, report = (graph.code_hash.__wrapped__((room,)) for room in ("cells", "report"))
    (tmp_path / "report/html.py").write_text("x = 2\n")
    assert graph.code_hash.__wrapped__(("cells",)) == cells
    assert graph.code_hash.__wrapped__(("report",)) != report


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules of the package that a module imports, wherever in it the import stands, but for its types.

    The types of a room's face are the names that it opens: whoever imports the room may run them.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test) and path.name != FACE
        for node in ast.walk(block)
    }
    return frozenset(name for node in ast.walk(tree) if id(node) not in typing for name in names_in(node))


def names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_of(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split(".")[1:])
    found = [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return found[0] if found and module.startswith("histome.") else None


def reached(modules: set[str]) -> set[Path]:
    """Return the files that some modules import, however far."""
    found: set[Path] = set()
    todo = [file_of(name) for name in modules]
    while todo:
        path = todo.pop()
        if path is not None and path not in found:
            found.add(path)
            todo.extend(file_of(name) for name in imports(path))
    return found


def entries() -> dict[str, set[str]]:
    """Return the modules that the work of each stage imports, read off pipeline.py."""
    tree = ast.parse(Path(pipeline.__file__).read_text(encoding="utf-8"))
    work = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "_Work")
    methods = {node.name: node for node in work.body if isinstance(node, ast.FunctionDef)}

    def of(name: str) -> set[str]:
        inner = {node.attr for node in ast.walk(methods[name]) if isinstance(node, ast.Attribute)}
        own = {name for node in ast.walk(methods[name]) for name in names_in(node)}
        return own.union(*(of(other) for other in inner & methods.keys() - {name}))

    stages: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "run.stage":
            used = {inner.attr for inner in ast.walk(node.args[1]) if isinstance(inner, ast.Attribute)}
            stages[ast.literal_eval(node.args[0])] = set().union(
                *(of(name) for name in used & methods.keys())
            )
    return stages


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_names_all_code_that_it_runs(name: str) -> None:
    code = next(stage.code for stage in pipeline._GRAPH if stage.name == name)
    files = {path.relative_to(SOURCE).as_posix() for path in reached(entries()[name])} - WITHOUT_RESULT
    unnamed = {
        file for file in files if not any(file == part or file.startswith(f"{part}/") for part in code)
    }
    assert unnamed == set()
    assert len(files) > 5


def test_every_stage_is_run() -> None:
    assert tuple(entries()) == STAGES
