"""Models of others that are public: where they are and under which license, from one table."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_TABLE = Path(__file__).with_name("public.toml")


class PublicModel(BaseModel):
    """What the publishers of a model state; nothing is downloaded to say it.

    Attributes
    ----------
    name, task, organs, license : str
        `license` says "see publisher" where none is stated for the weights.
    where : str
        `hf:OWNER/NAME`, `zenodo:ID` or an address.
    file, sha256 : str
        Of the file there, where it is known.
    mpp : float, um/px, or None
        What it was trained at.
    megabytes : int or None
        Of its weights as 32-bit floats, counted from its layers; the file may be larger or smaller.
    kind, classes : str
        For `histome models import`; empty where that does not read it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    task: str
    organs: str
    license: str
    where: str
    file: str = ""
    sha256: str = ""
    mpp: float | None = None
    megabytes: int | None = None
    kind: str = ""
    classes: str = ""

    def lines(self) -> list[str]:
        """What `histome models list --remote` prints of it; the license before where it is."""
        at = f", {self.mpp:g} um/px" if self.mpp else ""
        size = f", about {self.megabytes:,} MB" if self.megabytes else ""
        lines = [f"{self.name}: {self.task}; {self.organs}{at}{size}", f"  license: {self.license}"]
        lines.append(f"  from: {self.where}{f' ({self.file})' if self.file else ''}")
        if self.kind:
            words = f"{self.kind} FILE -o FOLDER --classes {self.classes} --license ..."
            lines.append(f"  then: histome models import {words}")
        return lines


def public_models() -> tuple[PublicModel, ...]:
    """Return the table's models in its order."""
    tables = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return tuple(PublicModel(name=name, **table) for name, table in tables.items())
