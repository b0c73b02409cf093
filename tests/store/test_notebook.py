"""What a notebook shows: a bar a stage, drawn in place, where there is a notebook at all."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from histome.store.notebook import notebook_progress


class ZMQInteractiveShell:
    """Called as the shell of a notebook is."""


class Handle:
    """Keeps what it was told to draw."""

    shown: list[tuple[str, str]]

    def display(self, page: str) -> None:
        self.shown.append(("display", page))

    def update(self, page: str) -> None:
        self.shown.append(("update", page))


def in_shell(patch: pytest.MonkeyPatch, shell: Any) -> None:
    Handle.shown = []
    patch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    patch.setitem(sys.modules, "IPython.display", SimpleNamespace(DisplayHandle=Handle, HTML=str))


def test_each_stage_has_a_bar_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    in_shell(monkeypatch, ZMQInteractiveShell())
    progress = notebook_progress("<script>.svs")
    assert progress is not None
    progress("qc", 0, 0)
    progress("qc", 1, 1)
    progress("cells", 0, 0)
    for k in range(1, 100):
        progress("cells", k, 100)
    progress("cells", 100, 100)
    assert [how for how, _ in Handle.shown][:2] == ["display", "update"]
    assert {how for how, _ in Handle.shown[1:]} == {"update"}
    assert "<th>qc</th><td><progress></progress>" in Handle.shown[0][1]
    assert len(Handle.shown) < 20  # not a hundred pictures a second
    last = Handle.shown[-1][1]
    assert 'value="100" max="100"' in last
    assert last.index("qc") < last.index("cells")
    assert "&lt;script&gt;.svs" in last


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])
def test_a_terminal_has_no_bars_of_a_notebook(monkeypatch: pytest.MonkeyPatch, shell: Any) -> None:
    in_shell(monkeypatch, shell)
    assert notebook_progress("slide.svs") is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook_progress("slide.svs") is None
