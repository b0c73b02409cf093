"""The scripts of runs/ and benchmarks/ import what is there: nothing else runs them in CI."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="the scripts train")
pytest.importorskip("onnx")

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted([*ROOT.glob("runs/*.py"), *ROOT.glob("benchmarks/*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_imports_what_is_there(script: Path) -> None:
    tree = ast.parse(script.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    ours = [node for node in nodes if (node.module or "").split(".")[0] == "histome"]
    missing = [
        f"{node.module}.{alias.name}" for node in ours for alias in node.names if not found(node, alias.name)
    ]
    assert missing == []
    assert ours or script.name == "__init__.py"


def found(node: ast.ImportFrom, name: str) -> bool:
    module = importlib.import_module(node.module or "")
    if hasattr(module, name):
        return True
    return importlib.util.find_spec(f"{node.module}.{name}") is not None


def test_the_pages_have_the_figures_of_the_cards() -> None:
    spec = importlib.util.spec_from_file_location("print_scores", ROOT / "runs/print_scores.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name, tables in script.TABLES.items():
        page = (ROOT / name).read_text(encoding="utf-8")
        assert script.filled(page, tables) == page
        assert (
            script.filled(page.replace("0.841 [", "0.941 ["), tables)
            == page
            != page.replace("0.841 [", "0.941 [")
        )
