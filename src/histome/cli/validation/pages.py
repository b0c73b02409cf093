"""What every comparison ends with: its folder of tables, figures and a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from histome.cli import console

if TYPE_CHECKING:
    from histome.validation.raters.page import Section


def write_sections(out: Path, title: str, sections: "Sequence[Section]") -> None:
    """Write the tables, figures and index.html, and say where the page is."""
    from histome.store.disk import writing
    from histome.validation.raters.page import write_page

    with writing(out):
        page = write_page(out, title, sections)
    console.say(f"{page}")
