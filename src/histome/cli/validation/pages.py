"""What every comparison ends with: its folder of tables, figures and a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from histome.cli import console

if TYPE_CHECKING:
    from histome.validation.raters import Votes
    from histome.validation.raters.page import Row, Section
    from histome.validation.raters.votes import Answers


def compared(votes: "Votes", answers: "Answers | None" = None, units: str | None = None) -> "Section":
    """Say what is compared and what is doubtful about it; return the section that tells it on the page."""
    from histome.validation.raters.doubts import cell_counts, cells_section, doubts_of

    counts, doubts = cell_counts(votes, answers), doubts_of(votes, answers, units)
    print_rows([counts])
    for doubt in doubts:
        console.warn(doubt)
    return cells_section(counts, doubts)


def print_rows(rows: "Sequence[Row]") -> None:
    """Print each row on a line: name value, name value."""
    for row in rows:
        console.print_result(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.items()))


def write_sections(out: Path, title: str, sections: "Sequence[Section]") -> None:
    """Write the tables, figures and index.html, and say where the page is."""
    from histome.store.disk import writing
    from histome.validation.raters.page import write_page

    with writing(out):
        page = write_page(out, title, sections)
    console.say(f"{page}")
