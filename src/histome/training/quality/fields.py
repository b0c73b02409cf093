"""Real tissue without known artifacts, and empty glass: what artifacts are drawn on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histome.datasets.fields import read_image, read_rows, resize_image
from histome.datasets.splits import part_of
from histome.datasets.tissue_fields import FIELD_MPP, load_tissue_fields

QUALITY_MPP = 4.0
GLASS_SET, SECTION_SET = "empty glass", "whole sections"
# A tile of 64 um shows no surroundings.
_LEAST_UM = 100.0
# Whole sections as small pictures: scanned at 0.174 and 0.227 um/px, kept at a twentieth of that.
_SECTIONS = {"lesions_": 3.48, "rat-kidney_": 4.54, "lung-lesion_3": 3.48}
# Donors whose empty glass is only scored.
_GLASS_KEPT_BACK = ("WRHU", "1122O")


@dataclass(frozen=True)
class CleanField:
    """One field, pixels (h, w, 3) uint8; `part` by its source, as for the tissue network."""

    data_set: str
    name: str
    source: str
    part: str
    image: NDArray[np.uint8]
    label: str = ""


def load_clean_fields(root: Path, mpp: float = QUALITY_MPP) -> list[CleanField]:
    """Fields at `mpp` of every folder that the tissue network learns from, of monuseg, and empty glass."""
    tissue = [
        CleanField(f.data_set, f.name, f.source, f.part, resize_image(f.image, FIELD_MPP, mpp), f.label)
        for f in load_tissue_fields(root)
    ]
    tissue = [field for field in tissue if min(field.image.shape[:2]) * mpp >= _LEAST_UM]
    fields = [*_sections(root / "pairs", mpp), *_monuseg(root / "monuseg", mpp)]
    return tissue + fields + _empty_glass(root / "gtex_adipose", mpp)


def _sections(folder: Path, to_mpp: float) -> list[CleanField]:
    """Mouse lung and rat kidney; the second lung is only scored."""
    fields = []
    for name, mpp in _SECTIONS.items():
        (path,) = (
            p for p in (folder / name / "scale-5pc").glob("*.jpg") if "HE" in p.name or "-He-" in p.name
        )
        part = "held-out" if name == "lung-lesion_3" else "train"
        fields.append(CleanField(SECTION_SET, path.stem, name, part, read_image(path, mpp, to_mpp)))
    return fields


def _monuseg(folder: Path, mpp: float) -> list[CleanField]:
    return [
        CleanField(
            "monuseg", row["image"], row["source"], part_of("monuseg", row["source"]), _read(folder, row, mpp)
        )
        for row in read_rows(folder / "images.csv")
    ]


def _empty_glass(folder: Path, mpp: float) -> list[CleanField]:
    rows = [row for row in read_rows(folder / "images.csv") if row["label"] == "empty"]
    kept = [any(donor in row["image"] for donor in _GLASS_KEPT_BACK) for row in rows]
    return [
        CleanField(
            GLASS_SET, row["image"], row["source"], "held-out" if back else "train", _read(folder, row, mpp)
        )
        for row, back in zip(rows, kept, strict=True)
    ]


def _read(folder: Path, row: dict[str, str], mpp: float) -> NDArray[np.uint8]:
    return read_image(folder / row["file"], float(row["mpp"]), mpp)
