"""Tables of a comparison as CSV, a figure and one HTML page that could be a paper's supplement."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import histome
from histome.names import shown

Row = Mapping[str, Any]
# A figure names its rows by these, in this order, where they differ.
_NAMES = ("judge", "measure", "condition", "stratum", "label")


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
    figure : "intervals", "curve" or ""
        Values with their intervals, a value against `coverage`, or none.
    """

    name: str
    title: str
    text: str
    rows: Sequence[Row]
    figure: str = "intervals"


def write_page(out: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write index.html and, for each section, NAME.csv and NAME.svg into a folder; return the page."""
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
        _write_table(out / f"{section.name}.csv", section.rows)
        svg = _figure(place, section)
        if svg:
            (out / f"{section.name}.svg").write_text(svg, encoding="utf-8")
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
    rows = [row for row in section.rows if row["value"] == row["value"]] if section.figure else []
    if not rows:
        return ""
    ends = [x for row in rows for x in (row["value"], row["low"], row["high"]) if x == x]
    low, high = min(0.0, *ends), max(1.0, *ends)
    varied = [name for name in _NAMES if len({row.get(name) for row in rows}) > 1] or ["label"]
    names = [", ".join(str(row[name]) for name in varied if row.get(name)) for row in rows]
    template = place.get_template(f"{section.figure}.svg.j2")
    return template.render(rows=list(zip(names, rows, strict=True)), low=low, high=high, title=section.title)


def _number(value: object) -> str:
    """Three digits after the point; nothing for a value that is not there."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else shown(str(value))
