"""What a notebook shows of a profile."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from histome.store.files import REPORT_PAGE


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
