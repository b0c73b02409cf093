"""The worked example of docs/bring-your-own.md runs as it stands, block after block."""

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the example exports a torch module")

from histome.cli import main
from histome.models import registry

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[1] / "docs" / "bring-your-own.md"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTERED", {})
    names: dict[str, object] = {"__name__": "page"}
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) > 8
    for language, text in blocks:
        if language == "python":
            exec(compile(text, PAGE.name, "exec"), names)
        for line in text.splitlines() if language == "sh" else ():
            program, *words = shlex.split(line)
            with pytest.raises(SystemExit) as caught:
                main(words)
            assert (program, caught.value.code or 0) == ("histome", 0), capsys.readouterr()
    assert len(names["profile"].cells) > 50  # type: ignore[attr-defined]
    assert names["profile"].run["cells_network"]["backend"] == "Labels"  # type: ignore[attr-defined]
    assert names["field"].sets.tolist() == [0, 1 << 8]  # type: ignore[attr-defined]
    evidence = names["profile"].metrics["evidence"].to_pylist()  # type: ignore[attr-defined]
    assert any(mark and mark.startswith("lymphocyte: indirect") for mark in evidence)
