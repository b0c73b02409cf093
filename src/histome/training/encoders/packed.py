"""Pixels of all fields in one array, packed once: what pretraining draws its crops from."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.datasets.declaration import DataSet
from histome.datasets.declared import of_row
from histome.datasets.fields import IMAGE_MPP, read_image, read_rows
from histome.datasets.splits import part_of
from histome.datasets.tissue_fields import FOLDERS, load_tissue_fields
from histome.slide import Slide, open_slide

# Finer pixels than any crop shows; a field that is coarser keeps its own.
FINEST_MPP = 0.4
# A whole section, beside the folders of fields, and the tiles cut from it: number, um/px.
SECTION = Path("slides", "colon_section.tif")
_SECTION_TILES = ((200, 0.5), (60, 2.0))
_SECTION_SIDE = 512

RgbField = NDArray[np.uint8]


class PackedField(NamedTuple):
    """One field's pixels (h, w, 3) uint8, um per pixel, data set, and whether scores are reported on it."""

    data_set: str
    name: str
    mpp: float
    held_out: bool
    image: RgbField


def _tissue_held_out(data: Path) -> set[str]:
    """Names of the images that the tissue model is scored on."""
    folders = tuple(name for name in FOLDERS if (data / name / "images.csv").exists())
    return {f.name for f in load_tissue_fields(data, folders) if f.part == "held-out"}


def _read_folder(root: Path, tissue_held_out: set[str]) -> Iterator[PackedField]:
    for row in read_rows(root / "images.csv"):
        about = of_row(root.name, row) or DataSet(name=root.name)
        mpp = float(row["mpp"] or about.sets.get(row.get("set", "")) or IMAGE_MPP)
        to_mpp = max(mpp, FINEST_MPP)
        nuclei_held_out = part_of(about.name, about.source_of(row)) == "held-out"
        held_out = nuclei_held_out or row["image"] in tissue_held_out
        image = read_image(root / row["file"], mpp, to_mpp)
        yield PackedField(about.name, row["image"], to_mpp, held_out, image)


def tissue_corners(
    slide: Slide, mpp: float, rng: np.random.Generator, n: int, *, side_px: int = _SECTION_SIDE
) -> NDArray[np.float64]:
    """(n, 2) x, y of tile corners at level 0, each tile's center on tissue (colored pixels), or anywhere."""
    colored = cv2.GaussianBlur(slide.thumbnail(), (0, 0), 2.0)
    on_tissue = np.ptp(colored.astype(int), axis=2) > 25
    rows, cols = np.nonzero(on_tissue if on_tissue.any() else ~on_tissue)
    picked = rng.choice(len(rows), n)
    scale, side = slide.size_px[0] / colored.shape[1], side_px * mpp / slide.mpp.x
    corners = np.stack([cols[picked], rows[picked]], axis=1) * scale - side / 2
    return np.floor(np.clip(corners, 0, np.array(slide.size_px) - side - 1))


def _read_section(path: Path, seed: int = 0) -> Iterator[PackedField]:
    """Random tiles of a whole section."""
    rng, size = np.random.default_rng(seed), (_SECTION_SIDE, _SECTION_SIDE)
    with open_slide(path, mpp=IMAGE_MPP) as slide:
        for n, mpp in _SECTION_TILES:
            for k, (x, y) in enumerate(tissue_corners(slide, mpp, rng, n)):
                image = slide.read(x, y, size=size, mpp=mpp)
                yield PackedField(path.stem, f"{path.stem}_{mpp}_{k}", mpp, False, image)


def read_fields(data: Path) -> Iterator[PackedField]:
    """Every image of every folder of `data` with an images.csv, and tiles of the section."""
    held_out = _tissue_held_out(data)
    for table in sorted(data.glob("*/images.csv")):
        yield from _read_folder(table.parent, held_out)
    if (data / SECTION).exists():
        yield from _read_section(data / SECTION)


def pack(data: Path, cache: Path) -> None:
    """Write all fields to `cache`: pixels.npy (flat uint8) and, last, fields.json (what lies where)."""
    cache.mkdir(parents=True, exist_ok=True)
    fields = list(read_fields(data))
    np.save(cache / "pixels.npy", np.concatenate([f.image.ravel() for f in fields]))
    index = [[*f[:4], *f.image.shape[:2]] for f in fields]
    (cache / "fields.tmp").write_text(json.dumps(index), encoding="utf-8")
    (cache / "fields.tmp").replace(cache / "fields.json")


def load_packed(data: Path, cache: Path, *, every: bool = False) -> list[PackedField]:
    """Fields packed in `cache` (packed first where they are not); without `every`, none that is held out."""
    if not (cache / "fields.json").exists():
        pack(data, cache)
    pixels = np.load(cache / "pixels.npy")
    fields, start = [], 0
    for data_set, name, mpp, held_out, h, w in json.loads((cache / "fields.json").read_text("utf-8")):
        end = start + h * w * 3
        fields.append(PackedField(data_set, name, mpp, held_out, pixels[start:end].reshape(h, w, 3)))
        start = end
    return [f for f in fields if every or not f.held_out]
