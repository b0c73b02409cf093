"""One profile as it is looked at: its slide, its maps and its cells in the viewer's coordinates.

The viewer's unit is the width of a level-0 pixel, in x and in y: a slide with oblong pixels is drawn square
in um, any other pixel by pixel.
"""

import math
import shlex
import threading
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.cells.table import class_codes
from histome.classes import CELL_CLASSES
from histome.errors import MissingPartError
from histome.names import shown
from histome.slide import ClassMap, Slide
from histome.store.edits import Edit, append_edit, apply_edits, edits_path, in_force, new_edit, read_edits
from histome.store.profile import Profile
from histome.tissue import Tissue
from histome.viewer.tiles import PICTURE_PX, TilePlace, encode_jpeg, levels_of, map_tile, share_tile

CARCINOMA_SHARE = "carcinoma"
# Of 40 kB each.
_TILES_KEPT = 1500


class SlideView:
    """A profile with what the viewer asks of it again and again kept at hand.

    Attributes
    ----------
    slide : Slide or None
        Its pixels; None where the file was not found, and `missing` says why.
    unit_um : float, um
        Of the viewer's unit.
    size : (float, float)
        Width and height in that unit.
    """

    def __init__(self, profile: Profile, slide: Slide | None, missing: str = "") -> None:
        self.profile, self.slide, self.missing = profile, slide, missing
        facts = profile.run["slide"]
        self.name = str(facts["id"])
        self.mpp = (float(facts["mpp"]["x"]), float(facts["mpp"]["y"]))
        self.unit_um = self.mpp[0]
        width, height = facts["size_px"]
        self.size = (float(width), float(height) * self.mpp[1] / self.mpp[0])
        self.image_tile = lru_cache(_TILES_KEPT)(self._image_tile)
        self._lock = threading.Lock()
        quality = self._part(lambda: profile.quality)
        self._quality = quality and quality.map
        self._found = (self._part(lambda: profile.cells), self._part(lambda: profile.tissue))
        self.edits_path = edits_path(profile.path.resolve())
        self._edits = read_edits(self.edits_path) if self.edits_path.exists() else ()
        self._now = self._corrected(self._edits)

    @property
    def levels(self) -> int:
        """Number of levels of tiles, each half as fine as the one before it."""
        return levels_of(self.size)

    @property
    def command(self) -> str:
        """The line that measures the slide again with what people corrected."""
        out = self.edits_path.parent
        slide = self.slide.path.resolve() if self.slide else self.profile.run["slide"]["file"]
        words = ["histome", "profile", slide, "-o", out, "--edits", self.edits_path]
        return shown(shlex.join(map(str, words)))

    @property
    def cells(self) -> pa.Table | None:
        """The cells as people corrected them, None where the run did not get so far."""
        return self._now[0]

    @property
    def tissue(self) -> Tissue | None:
        """The tissue without the regions that people excluded, None where the run did not get so far."""
        return self._now[1]

    @property
    def maps(self) -> dict[str, ClassMap]:
        """The maps that can be laid over the slide, by name."""
        found = {} if self._quality is None else {"qc": self._quality}
        return (
            found if self.tissue is None else {**found, "tissue": self.tissue.map, "zones": self.tissue.zones}
        )

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What people corrected, in order, undone or not."""
        return self._edits

    def add_edit(self, kind: type[Edit], **said: Any) -> None:
        """Add an edit to the file beside the profile, and draw and measure with it from now on.

        Raises UsageError where it says something wrong, OutputError where it cannot be written.
        """
        edit = new_edit(kind, slide=str(self.profile.run["slide"]["content"]), **said)
        with self._lock:
            edits = (*self._edits, edit)
            now = self._corrected(edits)
            append_edit(self.edits_path, edit)
            self._edits, self._now = edits, now

    def _corrected(self, edits: tuple[Edit, ...]) -> tuple[pa.Table | None, Tissue | None]:
        cells, tissue = self._found
        if cells is None or tissue is None or not in_force(edits):
            return cells, tissue
        return apply_edits(cells, tissue, edits, self.profile.run, surroundings=False)[:2]

    @property
    def shares(self) -> dict[str, str]:
        """The maps of values from 0 to 1 that can be laid over the slide: name -> what they show."""
        found = self._found[1]
        probable = (
            found is not None
            and found.probabilities is not None
            and found.probabilities.array.shape[1:] == found.map.array.shape
        )
        return {CARCINOMA_SHARE: "Probability of carcinoma"} if probable else {}

    def _share(self, name: str) -> tuple[NDArray[np.uint8], float]:
        """Return a map of values in 255ths, 0 where nothing is analyzed, and its um per pixel."""
        tissue = self.tissue
        if name != CARCINOMA_SHARE or tissue is None or tissue.probabilities is None:
            raise KeyError(f"no map {name}")
        return np.where(tissue.map.array > 0, self._carcinoma, np.uint8(0)), tissue.probabilities.mpp

    @cached_property
    def _carcinoma(self) -> NDArray[np.uint8]:
        found = self._found[1]
        assert found is not None
        assert found.probabilities is not None
        plane = found.probabilities.array[found.probabilities.classes.index("CARCINOMA")]
        return np.maximum(np.asarray(plane), 1)  # 0 is what is not analyzed

    @cached_property
    def tissue_certainty(self) -> NDArray[np.uint8] | None:
        """The largest probability of any tissue at each pixel of its map, in 255ths; None if not kept."""
        found = self._found[1]
        if found is None or found.probabilities is None:
            return None
        planes = found.probabilities.array
        best = np.asarray(planes[0])
        for k in range(1, planes.shape[0]):
            np.maximum(best, np.asarray(planes[k]), out=best)
        return best

    @cached_property
    def centers(self) -> NDArray[np.float32]:
        """The cells' places in the viewer's unit, (n, 2)."""
        if self.cells is None:
            return np.zeros((0, 2), np.float32)
        um = (self.cells[name].to_numpy() for name in ("x_um", "y_um"))
        return np.column_stack([axis / self.unit_um for axis in um]).astype(np.float32)

    @property
    def codes(self) -> NDArray[np.int64]:
        """The place of each cell's class in CELL_CLASSES, (n,)."""
        return class_codes(self.cells) if self.cells is not None else np.zeros(0, np.int64)

    def counts(self) -> list[int]:
        """Return the number of cells of each class, counted or not."""
        return np.bincount(self.codes, minlength=len(CELL_CLASSES)).tolist()

    def _image_tile(self, level: int, column: int, row: int) -> bytes:
        """Return a tile of the slide as JPEG; raises KeyError beyond the slide."""
        if self.slide is None:
            raise KeyError("no slide")
        place = TilePlace.of(level, column, row, self.size)
        down = self.mpp[0] / self.mpp[1]
        mpp = self.unit_um * place.step
        rest = (math.ceil((side - at) / place.step) for side, at in zip(self.size, place[:2], strict=True))
        width, height = (min(PICTURE_PX, pixels) for pixels in rest)
        pixels = self.slide.read(place.left, place.top * down, size=(width, height), mpp=mpp)
        return encode_jpeg(pixels)

    def overlay_tile(self, name: str, place: TilePlace, shown: int, *, lines: bool) -> bytes:
        """Return a tile of a map as PNG; see `viewer.tiles`. Raises KeyError for an unknown map."""
        if name in self.shares:
            return share_tile(*self._share(name), place, self.unit_um)
        return map_tile(self.maps[name], name, place, self.unit_um, shown=shown, lines=lines)

    def _part(self, get: Callable[[], Any]) -> Any:
        try:
            return get()
        except MissingPartError:
            return None
