"""The scripts of runs/ and benchmarks/ import what is there: nothing else runs them in CI."""

import ast
import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
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
    print_scores = script("runs/print_scores.py")
    for name, tables in print_scores.TABLES.items():
        page = (ROOT / name).read_text(encoding="utf-8")
        assert print_scores.filled(page, tables) == page
        assert (
            print_scores.filled(page.replace("0.841 [", "0.941 ["), tables)
            == page
            != page.replace("0.841 [", "0.941 [")
        )


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, ROOT / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_series_of_benchmarks_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys) -> None:
    """Each run but the first, which compiles, is kept when it is done: a second call goes on from there."""
    end_to_end, done = script("benchmarks/end_to_end.py"), []

    def measured(slide, folder, mpp, cores):
        if len(done) == 4:
            raise KeyboardInterrupt
        stages = {"qc": {"cpu_s": len(done), "wall_s": 2.0, "peak_mb": 100.0 + len(done)}}
        done.append((slide.name, cores))
        return {"slide": slide.name, "cores": cores, "mm2": 2.0, "cells": 1000, "stages": stages}

    monkeypatch.setattr(end_to_end, "measure", measured)
    monkeypatch.setattr(end_to_end, "SIDES_PX", ())
    command = ["end_to_end.py", "slide.tif", "--series", "--most", "1", "--rounds", "2"]
    monkeypatch.setattr("sys.argv", [*command, "--folder", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        end_to_end.main()
    assert done == [("slide.tif", 2), ("slide.tif", 2), ("slide.tif", 2), ("slide.tif", 1)]
    del done[:]
    end_to_end.main()
    assert done == [("slide.tif", 1)]
    end_to_end.main()
    assert done == [("slide.tif", 1)]
    capsys.readouterr()
    end_to_end.print_table(end_to_end.read_runs(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    # On two cores runs of 1 and 2 CPU-seconds: 1.5 in the middle.
    assert "| 2.00 | 1,000 | 2 | 2 | 1.50 | 1.5 | 0.75 | 2 | 60.0 | 102 |" in lines
    end_to_end.plot(end_to_end.read_runs(tmp_path), tmp_path)
    assert {path.name for path in tmp_path.glob("*.svg")} == {"performance-cells.svg", "performance-mm2.svg"}


def test_the_table_of_the_curriculum_has_a_p_where_the_counts_of_each_source_are_kept() -> None:
    """What was kept without them has intervals, and no p of bootstrap draws."""
    ablate = script("runs/ablate_curriculum.py")
    kept = json.loads((ROOT / "runs/curriculum/all.json").read_text(encoding="utf-8"))
    kept.pop("pixels_by_source", None)
    assert ", p " not in ablate.row(kept)
    stages = []
    for missed in (10, 20, 30):
        pixels = np.zeros((6, 6), int)
        pixels[0, 0], pixels[1, 1], pixels[1, 0] = 900, 100 - missed, missed
        stages.append({f"source {k}": pixels.ravel().tolist() for k in range(6)})
    told = ablate.row(kept | {"pixels_by_source": stages})
    assert told.count("p 0.031") == 2
    assert told.startswith(f"| all | 600 | 6 | {(900 / 910 + 90 / 100) / 2:.3f} ")
    assert "and stage 1 of all" in ablate.row(kept | {"name": "the surest half"})


def test_the_page_of_the_curriculum_says_what_is_kept() -> None:
    page = (ROOT / "docs/curriculum.md").read_text(encoding="utf-8")
    assert script("runs/ablate_curriculum.py").tables() in page
