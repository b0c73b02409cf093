"""What a notebook shows of a profile, and of one that is being made."""

import sys
import time
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from histome.store.files import REPORT_PAGE

_REDRAWN_S = 0.2


def notebook_progress(name: str) -> Callable[[str, float, float], None] | None:
    """Return what draws a bar for each stage of a slide below the running cell; None without a notebook."""
    python = sys.modules.get("IPython")
    shell = python and python.get_ipython()
    if type(shell).__name__ != "ZMQInteractiveShell":  # a terminal, or no IPython at all
        return None
    return _Bars(name)


class _Bars:
    """A bar a stage, drawn again a few times a second."""

    def __init__(self, name: str) -> None:
        from IPython.display import DisplayHandle

        self._name, self._stages, self._handle = name, {}, DisplayHandle()
        self._drawn = 0.0

    def __call__(self, stage: str, done: float, total: float) -> None:
        from IPython.display import HTML

        first, begun, ended = not self._stages, stage not in self._stages, done >= total
        self._stages[stage] = (done, total)
        if begun or ended or time.monotonic() - self._drawn > _REDRAWN_S:
            (self._handle.display if first else self._handle.update)(HTML(self._page()))
            self._drawn = time.monotonic()

    def _page(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(stage)}</th><td>{_bar(*share)}</td></tr>"
            for stage, share in self._stages.items()
        )
        return f"<table><caption>{escape(self._name)}</caption>{rows}</table>"


def _bar(done: float, total: float) -> str:
    """Return a bar; one that only moves where it is not known yet how much there is to do."""
    known = f' value="{done:g}" max="{total:g}"' if total else ""
    return f"<progress{known}></progress>"


def profile_html(folder: Path, run: Mapping[str, Any]) -> str:
    """Return a small table of what run.json says, and where the report is; all of it escaped."""
    if not run:
        return f"<p>{escape(str(folder))}: no profile</p>"
    rows = {name: escape(text) for name, text in _facts(run).items()}
    page = (folder / "report" / REPORT_PAGE).absolute()
    if page.is_file():
        rows["report"] = f'<a href="{escape(page.as_uri())}">{escape(str(page))}</a>'
    return (
        "<table>"
        + "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows.items())
        + "</table>"
    )


def _facts(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts that a run has got to, in words."""
    facts = {"slide": str(run["slide"].get("id")), "state": str(run["state"])}
    if quality := run.get("quality"):
        facts["valid tissue"] = f"{quality['valid_mm2']:.4g} mm2"
    if cells := run.get("cells"):
        facts["cells"] = f"{cells['counted']:,}"
    codes = [each["code"] for each in run["warnings"] if each["severity"] != "note"]
    return facts | {"warnings": ", ".join(codes) or "none"}
