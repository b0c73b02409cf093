"""What the classes of somebody else's model are, and what each counts as."""

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from histome.classes import CELL_CLASSES
from histome.config import read_settings
from histome.errors import ModelError, UsageError

_KNOWN = Path(__file__).with_name("classes.toml")
_Name = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]+$")]


class ForeignClasses(BaseModel):
    """Classes in the order of the model's outputs, background left out, and our cell class of each.

    Attributes
    ----------
    classes : tuple of str
        Names, as their authors word them.
    cells : tuple of str
        Names out of `CELL_CLASSES`; several classes may count as one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    classes: Annotated[tuple[_Name, ...], Field(min_length=1)]
    cells: tuple[str, ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.cells) != len(self.classes):
            raise ValueError(f"cells must name one of ours for each of the {len(self.classes)} classes")
        if unknown := set(self.cells) - set(CELL_CLASSES):
            raise ValueError(f"cells: {', '.join(sorted(unknown))}: choose from {', '.join(CELL_CLASSES)}")
        if len(set(self.classes)) != len(self.classes) or "background" in self.classes:
            raise ValueError("classes must differ, and background is not one of them")
        return self

    def check_count(self, count: int, source: Path) -> Self:
        """Return the map itself where it names `count` classes; raises ModelError where it does not."""
        if len(self.classes) != count:
            raise ModelError(
                f"{source}: has {count} classes besides background, the class map names "
                f"{len(self.classes)} ({', '.join(self.classes)}); give the right one with --classes"
            )
        return self


def known_classes() -> dict[str, ForeignClasses]:
    """Return the maps of public data sets by name."""
    tables = tomllib.loads(_KNOWN.read_text(encoding="utf-8"))
    return {name: ForeignClasses.model_validate(table) for name, table in tables.items()}


def read_classes_map(name_or_path: str) -> ForeignClasses:
    """Return a known map by its name, or that of a TOML file with `classes` and `cells`.

    Raises UsageError for an unknown name and for a file that is not such a map.
    """
    known = known_classes()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        raise UsageError(
            f"{name_or_path}: no known class map ({', '.join(known)}) and no file with classes and cells"
        )
    return read_settings(ForeignClasses, path, what="entry")
