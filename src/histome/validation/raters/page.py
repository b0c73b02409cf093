"""Tables of a comparison as CSV, a figure and one HTML page that could be a paper's supplement."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import histome
from histome.names import shown
from histome.validation.raters.pdf import write_pdf

Row = Mapping[str, Any]
# A figure names its rows by these, in this order, where they differ.
_NAMES = ("judge", "truth", "measure", "condition", "stratum", "label")


@dataclass(frozen=True)
class Section:
    """A table of the page, its figure and what it says.

    Attributes
    ----------
    name : str
        Of its files.
    title, text : str
        Heading, and how the numbers were made.
    rows : sequence of mappings
        Rows with the same columns.
    figure : "intervals", "curve", "heat", "reliability" or ""
        Values with their intervals, a value against `coverage`, `value` by `row` and `column` as a heat map,
        the share right against the confidence, or none.
    pictures : sequence of (str, str)
        Caption and data URI of each.
    """

    name: str
    title: str
    text: str
    rows: Sequence[Row]
    figure: str = "intervals"
    pictures: Sequence[tuple[str, str]] = ()


def write_page(out: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write index.html and, for each section, NAME.csv, NAME.svg and NAME.pdf; return the page."""
    out.mkdir(parents=True, exist_ok=True)
    place = Environment(
        loader=PackageLoader("histome.validation.raters", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    place.filters |= {"number": _number, "shown": shown}
    drawn = []
    for section in sections:
        if section.rows or not section.pictures:
            _write_table(out / f"{section.name}.csv", section.rows)
        svg = _figure(place, section)
        if svg:
            (out / f"{section.name}.svg").write_text(svg, encoding="utf-8")
            write_pdf(out / f"{section.name}.pdf", svg)
        drawn.append((section, svg))
    page = place.get_template("page.html.j2").render(title=title, sections=drawn, version=histome.__version__)
    (out / "index.html").write_text(page, encoding="utf-8")
    return out / "index.html"


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["value"])
        writer.writeheader()
        writer.writerows(rows)


def _figure(place: Environment, section: Section) -> str:
    if not section.figure or not section.rows:
        return ""
    known = _FIGURES[section.figure](section.rows)
    if not known:
        return ""
    return place.get_template(f"{section.figure}.svg.j2").render(**known, title=section.title)


def _valued(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows that have a value, named by what differs, and the ends of the axis."""
    rows = [row for row in rows if row["value"] == row["value"]]
    ends = [x for row in rows for x in (row["value"], row["low"], row["high"]) if x == x]
    varied = [name for name in _NAMES if len({row.get(name) for row in rows}) > 1] or ["label"]
    names = [", ".join(str(row[name]) for name in varied if row.get(name)) for row in rows]
    axis = {"low": min(0.0, *ends), "high": max(1.0, *ends)} if ends else {}
    return axis and {"rows": list(zip(names, rows, strict=True)), **axis}


def _crossed(rows: Sequence[Row]) -> dict[str, Any]:
    """A cell of each row and column that has a value; its share of the way from the least to the largest."""
    known = [row for row in rows if row["value"] == row["value"]]
    if not known:
        return {}
    low, high = (pick(row["value"] for row in known) for pick in (min, max))
    names, columns = ([*dict.fromkeys(row[key] for row in rows)] for key in ("row", "column"))
    cells = {
        (row["row"], row["column"]): {
            "value": row["value"],
            "share": (row["value"] - low) / max(high - low, 1e-9),
            "small": bool(row.get("too_small")),
        }
        for row in known
    }
    table = [(name, [cells.get((name, column)) for column in columns]) for name in names]
    return {"rows": table, "columns": columns, "small": any(cell["small"] for cell in cells.values())}


def _binned(rows: Sequence[Row]) -> dict[str, Any]:
    return {"rows": [("", row) for row in rows], "most": max(row["n"] for row in rows)}


_FIGURES: Mapping[str, Callable[[Sequence[Row]], dict[str, Any]]] = {
    "intervals": _valued,
    "curve": _valued,
    "heat": _crossed,
    "reliability": _binned,
}


def _number(value: object) -> str:
    """Three digits after the point; nothing for a value that is not there."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else shown(str(value))
