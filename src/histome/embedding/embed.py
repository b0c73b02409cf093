"""Vectors of one slide: read, normalize, encode, keep what is done, write it as it is wanted."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.embedding.layouts import LAYOUTS, Embedded
from histome.embedding.places import Places, nucleus_places, tile_places
from histome.encoders import OpenedEncoder
from histome.encoders.normalization import Normalizer, StainNormalization, fit_normalizer
from histome.errors import UsageError
from histome.slide import Slide
from histome.store.disk import read_json, remove_folder, write_json, writing
from histome.store.profile import Profile
from histome.threads import ordered_map

Progress = Callable[[int, int], object]
# Tiles of which the slide's stains are estimated, spread evenly over it.
_SAMPLED = 32


@dataclass(frozen=True)
class EmbedSettings:
    """How a slide is shown to an encoder.

    Attributes
    ----------
    mpp : float, um/px, or None
        What tiles are read at; None for the encoder's own.
    stain : "none", "macenko" or "reinhard"
        Normalization, fitted once to the slide.
    nuclei : bool
        A patch round each nucleus in place of the tiles of valid tissue.
    least_tissue : float, 0-1
        Share of a tile that is valid tissue, at least.
    batch : int
        Tiles at once; it does not change a vector.
    workers : int
        Threads that read.
    """

    mpp: float | None = None
    stain: StainNormalization = "none"
    nuclei: bool = False
    least_tissue: float = 0.5
    batch: int = 32
    workers: int = 1


def embed_slide(
    slide: Slide,
    encoder: OpenedEncoder,
    out: Path,
    settings: EmbedSettings | None = None,
    *,
    profile: Profile | None = None,
    layout: str = "trident",
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write the vectors of a slide and return their file.

    An interrupted run goes on where it was; what is there already and still holds is not made again.

    Parameters
    ----------
    slide : Slide
        An open slide.
    encoder : OpenedEncoder
        See `histome.encoders.open_encoder`.
    out : Path
        Folder; where in it the file lies is the layout's.
    settings : EmbedSettings or None
        None for the defaults.
    profile : Profile or None
        Of the slide: its quality, and its nuclei. Needed for nuclei; else quality is assessed here.
    layout : str
        Out of `LAYOUTS`.
    progress : callable(done, total)
        Called after each batch.

    Raises
    ------
    UsageError
        No such layout, no resolution known, nuclei without a profile, or another slide's profile.
    NoTissueError, OutputError
        As their names say.
    """
    settings = settings or EmbedSettings()
    if layout not in LAYOUTS:
        raise UsageError(f"layout {layout}: choose from {', '.join(LAYOUTS)}")
    places = _places(slide, encoder, settings, profile)
    about = _about(slide, encoder, settings, places)
    found = Embedded(slide.id, encoder.card.name, np.zeros((0, 0), np.float32), places, slide.mpp.x, about)
    file = out / LAYOUTS[layout].path(found)
    record = file.with_name(f"{file.name}.json")
    if file.exists() and read_json(record) == about:
        return file
    with writing(out):
        file.parent.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
        kept = _Kept(file.with_name(f".{file.name}.partial"), about, encoder.card.dimension)
        _encode(slide, encoder, settings, places, kept=kept, progress=progress)
        vectors = kept.vectors(len(places))
        LAYOUTS[layout].write(Embedded(*_fields(found, vectors)), file)
        write_json(record, about)
        remove_folder(kept.folder)
    return file


def _fields(found: Embedded, vectors: NDArray[np.float32]) -> tuple[Any, ...]:
    return found.slide, found.encoder, vectors, found.places, found.slide_mpp, found.about


def _places(slide: Slide, encoder: OpenedEncoder, settings: EmbedSettings, profile: Profile | None) -> Places:
    card = encoder.card
    mpp, side = settings.mpp or card.mpp, card.input_px or 224
    if mpp is None:
        raise UsageError(f"{card.name}: at which um/px it looks is not known; give --at-mpp")
    if profile is not None and profile.run.get("slide", {}).get("fingerprint") != slide.fingerprint():
        raise UsageError(f"{profile.path}: the profile of another slide than {slide.path.name}")
    if settings.nuclei:
        if profile is None:
            raise UsageError("nuclei are those of a profile: give --profile FOLDER")
        return nucleus_places(slide, profile.cells, side, mpp=mpp)
    quality = profile.quality.map if profile is not None else _assess(slide)
    return tile_places(slide, quality, side, mpp=mpp, least_tissue=settings.least_tissue)


def _assess(slide: Slide) -> Any:
    from histome.config import Config
    from histome.qc import assess

    return assess(slide, Config().qc).map


def _about(slide: Slide, encoder: OpenedEncoder, settings: EmbedSettings, places: Places) -> dict[str, Any]:
    """What decides the vectors, and how many there are."""
    decides = {key: value for key, value in asdict(settings).items() if key not in ("batch", "workers")}
    return {
        **{"slide": slide.id, "fingerprint": slide.fingerprint(), "encoder": encoder.card.name},
        **{"weights_sha256": encoder.sha256, **decides, "mpp": places.mpp, "side_px": places.side_px},
        **{"count": len(places), "places": hashlib.sha256(places.corners_px.tobytes()).hexdigest()[:16]},
    }


def _encode(
    slide: Slide,
    encoder: OpenedEncoder,
    settings: EmbedSettings,
    places: Places,
    *,
    kept: "_Kept",
    progress: Progress,
) -> None:
    """Encode the places that are not done."""
    normalize = _normalizer(slide, places, settings.stain)
    done, size = kept.rows, (places.side_px, places.side_px)

    def read(corner: NDArray[np.float64]) -> NDArray[np.uint8]:
        return normalize(slide.read(*corner, size=size, mpp=places.mpp))

    tiles = ordered_map(read, places.corners_px[done:], settings.workers)
    for batch in _batches(tiles, settings.batch):
        kept.append(encoder(np.stack(batch)))
        done += len(batch)
        progress(done, len(places))


def _batches(tiles: Iterator[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    batch: list[NDArray[np.uint8]] = []
    for tile in tiles:
        batch.append(tile)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _normalizer(slide: Slide, places: Places, kind: StainNormalization) -> Normalizer:
    if kind == "none" or not len(places):
        return lambda same: same
    chosen = np.unique(np.linspace(0, len(places) - 1, _SAMPLED).astype(int))
    size = (places.side_px, places.side_px)
    tiles = [slide.read(*places.corners_px[k], size=size, mpp=places.mpp)[::4, ::4] for k in chosen]
    return fit_normalizer(kind, np.stack(tiles))


class _Kept:
    """Vectors on the disk while a run lasts: rows are only added; one that is cut off is not counted."""

    def __init__(self, folder: Path, about: dict[str, Any], dimension: int | None) -> None:
        self.folder, self._file, self._about = folder, folder / "vectors.f32", folder / "about.json"
        self.dimension = dimension or read_json(self._about).get("dimension")
        if read_json(self._about).get("about") != about or not self._file.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._file.touch()
        self._key = about
        self._note()

    def _note(self) -> None:
        write_json(self._about, {"about": self._key, "dimension": self.dimension})

    @property
    def rows(self) -> int:
        """Whole rows that are there; what is left of another is cut off."""
        if not self.dimension:
            return 0
        rows = self._file.stat().st_size // (4 * self.dimension)
        with self._file.open("r+b") as file:
            file.truncate(rows * 4 * self.dimension)
        return rows

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Add rows."""
        if not self.dimension:
            self.dimension = vectors.shape[1]
            self._note()
        with self._file.open("ab") as file:
            file.write(np.ascontiguousarray(vectors, np.float32).tobytes())

    def vectors(self, count: int) -> NDArray[np.float32]:
        """All rows, read as they are asked for."""
        if not count:
            return np.zeros((0, self.dimension or 0), np.float32)
        return np.memmap(self._file, np.float32, "r", shape=(count, self.dimension or 0))
