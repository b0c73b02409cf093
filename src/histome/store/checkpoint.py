"""Parts of a stage's work that are done, for a run that goes on where this one was cut off."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from histome.errors import OutputError, SlideError
from histome.slide.source import file_state
from histome.store.disk import writing
from histome.store.files import Files
from histome.store.profile import load_part
from histome.store.sealed import find_damage, read_record, write_sealed

if TYPE_CHECKING:
    from histome.slide import Slide

T = TypeVar("T")


class Checkpoint(Generic[T]):
    """Numbered folders, one a part, each whole or not there.

    The broken tiles met are kept with each part: where it is loaded, the slide is not read again.

    Parameters
    ----------
    folder : Path
        Theirs alone; its name belongs to the key of the stage.
    files : Files
        How a part is saved and loaded.
    slide : Slide
        The slide that the parts are read from.
    """

    def __init__(self, folder: Path, files: Files[T], slide: "Slide") -> None:
        self._folder = folder
        self._files = files
        self._slide = slide
        self._opened = file_state(slide.path)
        self._count = 0  # parts kept
        self._broken = 0  # broken tiles kept with them

    def load(self) -> list[T]:
        """Return the parts that earlier runs kept, in order, up to the first that is damaged."""
        parts: list[T] = []
        while find_damage(self._part(len(parts))) is None:
            try:
                parts.append(self._load(self._part(len(parts))))
            except OutputError:
                break
        self._count, self._broken = len(parts), len(self._slide.broken)
        self._remove_others()
        return parts

    def add(self, part: T) -> None:
        """Keep one part more; raises SlideError where the slide's file has changed while it was read."""
        if file_state(self._slide.path) != self._opened:
            raise SlideError(
                f"{self._slide.path.name} has changed while it was read; run again when it is whole"
            )
        broken = self._slide.broken.since(self._broken)
        with writing(self._folder.parent):
            self._folder.mkdir(exist_ok=True)
            save = self._files.save
            write_sealed(self._part(self._count), {"broken_tiles": broken}, lambda path: save(part, path))
        self._count += 1
        self._broken += len(broken)

    def _load(self, path: Path) -> T:
        from histome.slide.tiles import Box

        part = load_part(self._files.load, path)
        for level, box, reason in read_record(path)["broken_tiles"]:
            self._slide.broken.add(level, Box(*box), reason)
        return part

    def _remove_others(self) -> None:
        """Remove what was cut off or damaged, and what came after it."""
        kept = {self._part(number).name for number in range(self._count)}
        for path in self._folder.glob("*"):
            if path.name not in kept:
                shutil.rmtree(path)

    def _part(self, number: int) -> Path:
        return self._folder / f"{number:06d}"
