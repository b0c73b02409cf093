"""What a frozen encoder knows: nuclei by linear probes, tissue tiles by their nearest neighbors."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from histome.datasets.declared import declaration_of
from histome.datasets.fields import IMAGE_MPP, read_image, read_rows
from histome.datasets.splits import part_of
from histome.datasets.tissue_fields import load_tissue_fields
from histome.training.encoders.network import PlainEncoder
from histome.training.networks import scale_pixels
from histome.validation.probes import (
    leave_sources_out,
    linear_probe,
    macro_f1,
    r_squared,
    ridge,
    source_hits,
)

# By the fields of consep: seven types are too few nuclei for some (one endothelial in the tuning sources).
_KINDS = {
    **{"healthy epithelial": "epithelial", "malignant epithelial": "epithelial"},
    **{"fibroblast": "spindle", "muscle": "spindle", "endothelial": "spindle"},
    "inflammatory": "inflammatory",
}
_CELL_PX, _CELLS = 8, 500
# Strides 4 and 8 of the default encoder are the first channels at a point, stride 32 the last.
_FINE_CHANNELS, _COARSE_CHANNELS = 192, 320
_NEIGHBORS = 5
_COLOR_BINS = 16

Floats = NDArray[np.float32]


class ProbedField(NamedTuple):
    """One field of labeled nuclei.

    image (h, w, 3) uint8 at 0.5 um/px; points_px (n, 2) x, y and kinds (n) of the nuclei of a kind; cells_px
    (m, 2) x, y and covered (m,) share of nuclei of random squares of 8 px; source = slide or patient.
    """

    image: NDArray[np.uint8]
    points_px: Floats
    kinds: NDArray
    cells_px: Floats
    covered: Floats
    source: str


def read_nuclei(root: Path) -> list[ProbedField]:
    """The fields of consep that train and tune the nuclei model; none that it is scored on."""
    nuclei = read_rows(root / "nuclei.csv")
    rows = [r for r in read_rows(root / "images.csv") if part_of("consep", r["source"]) != "held-out"]
    return [_read_field(root, row, [n for n in nuclei if n["image"] == row["image"]]) for row in rows]


def _read_field(root: Path, row: dict[str, str], nuclei: list[dict[str, str]]) -> ProbedField:
    image = read_image(root / row["file"], float(row["mpp"]), IMAGE_MPP)
    of_kind = [n for n in nuclei if n["label"] in _KINDS]
    points = np.array([(float(n["x_px"]), float(n["y_px"])) for n in of_kind], np.float32).reshape(-1, 2)
    mask = (np.asarray(Image.open(root / row["instances"])) > 0).astype(np.float32)
    h, w = (side // _CELL_PX for side in image.shape[:2])
    size = (w * _CELL_PX, h * _CELL_PX)
    mask = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_AREA)[: size[1], : size[0]]
    covered = cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA)
    picked = np.random.default_rng(0).choice(covered.size, min(_CELLS, covered.size), replace=False)
    cells = (np.stack([picked % w, picked // w], axis=1).astype(np.float32) + 0.5) * _CELL_PX
    shares = covered.ravel()[picked].astype(np.float32)
    kinds = np.array([_KINDS[n["label"]] for n in of_kind])
    scale = float(row["mpp"]) / IMAGE_MPP
    return ProbedField(image, points * scale, kinds, cells, shares, row["source"])


def read_tiles(data: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """Tiles (n, 224, 224, 3) of NCT-CRC-HE-7K that the tissue model is not scored on, and their labels.

    Each tile is a source of its own.
    """
    nct = declaration_of("nct")
    root = data / nct.folder
    held_out = {f.name for f in load_tissue_fields(data, (nct.folder,)) if f.part == "held-out"}
    rows = [r for r in read_rows(root / "images.csv") if r["set"] in nct.sets]
    rows = [r for r in rows if r["image"] not in held_out]
    return np.stack([read_image(root / r["file"], IMAGE_MPP) for r in rows]), [r["label"] for r in rows]


@torch.inference_mode()
def _maps(encoder: PlainEncoder, images: NDArray[np.uint8]) -> list[torch.Tensor]:
    h, w = images.shape[1:3]
    pad = ((0, 0), (0, -h % 32), (0, -w % 32), (0, 0))
    padded = torch.from_numpy(np.pad(images, pad, mode="reflect"))
    device = next(encoder.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        maps = encoder(scale_pixels(padded.to(device)).contiguous(memory_format=torch.channels_last))
    return [m.float().cpu() for m in maps]


@torch.inference_mode()
def point_features(encoder: PlainEncoder, image: NDArray[np.uint8], points_px: Floats) -> Floats:
    """(n, channels): the maps of strides 4 to 32 at n points x, y, linearly between pixels."""
    parts = []
    for m, stride in zip(_maps(encoder, image[None])[1:], encoder.strides[1:], strict=True):
        size = torch.tensor([m.shape[3], m.shape[2]])
        grid = torch.from_numpy(points_px) / stride / size * 2 - 1
        picked = F.grid_sample(m, grid[None, None], align_corners=False, padding_mode="border")
        parts.append(picked[0, :, 0].T)
    return torch.cat(parts, 1).numpy()


def tile_features(encoder: PlainEncoder, tiles: NDArray[np.uint8]) -> Floats:
    """(n, channels): means of the maps of strides 8 to 32 over each tile."""
    parts = [_maps(encoder, tiles[k : k + 16])[2:] for k in range(0, len(tiles), 16)]
    return np.concatenate([torch.cat([m.mean((2, 3)) for m in maps], 1).numpy() for maps in parts])


def colors(image: NDArray[np.uint8]) -> Floats:
    """(48,) shares of the pixels in 16 bins of each of red, green and blue."""
    bins = [cv2.calcHist([image], [c], None, [_COLOR_BINS], [0, 256]).ravel() for c in range(3)]
    return (np.concatenate(bins) / image[..., 0].size).astype(np.float32)


def point_colors(image: NDArray[np.uint8], points_px: Floats, radii_px: Sequence[int] = (8, 24)) -> Floats:
    """(n, 96): histograms of colors in squares round n points x, y."""
    reach = max(radii_px)
    image = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    found = np.zeros((len(points_px), 3 * _COLOR_BINS * len(radii_px)), np.float32)
    for row, (x, y) in zip(found, points_px.astype(int) + reach, strict=True):
        squares = [np.ascontiguousarray(image[y - r : y + r, x - r : x + r]) for r in radii_px]
        row[:] = np.concatenate([colors(square) for square in squares])
    return found


def neighbors_probe(x: Floats, y: NDArray) -> NDArray:
    """Label of each row of x (n, c): the majority of its five nearest others by cosine, standardized."""
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    likeness = x @ x.T
    np.fill_diagonal(likeness, -2)
    names, codes = np.unique(y, return_inverse=True)
    nearest = np.argsort(-likeness, axis=1)[:, :_NEIGHBORS]
    weight = np.take_along_axis(likeness, nearest, 1) + 2
    votes = np.stack([(weight * (codes[nearest] == k)).sum(1) for k in range(len(names))], axis=1)
    return names[votes.argmax(1)]


Features = Callable[[NDArray[np.uint8], Floats], Floats]


class Probes:
    """The probes on their data, read once."""

    def __init__(self, data: Path) -> None:
        self.nuclei = read_nuclei(data / "consep")
        self.tiles, labels = read_tiles(data)
        self.tile_labels = np.array(labels)

    def __call__(self, encoder: PlainEncoder) -> dict[str, float]:
        """Scores of an encoder."""
        features = partial(point_features, encoder)
        return self._scores(features, tile_features(encoder, self.tiles))

    def of_colors(self) -> dict[str, float]:
        """The same of histograms of colors: what needs no network."""
        return self._scores(point_colors, np.stack([colors(tile) for tile in self.tiles]))

    def _scores(self, features: Features, tiles: Floats) -> dict[str, float]:
        """Macro F1 of kinds of nuclei, R2 of their cover, accuracy of sources and of tiles, each with n.

        The first two, three kinds and squares of 8 px, are linear and leave whole sources out; `fine` is of
        strides 4 and 8. The source of a nucleus is asked of stride 32. Nine kinds of tiles are told by their
        neighbors; a tile is its own source.
        """
        x, kinds, sources = self._at(features, "points_px", "kinds")
        cells, cover, cell_sources = self._at(features, "cells_px", "covered")
        told = source_hits(x[:, -_COARSE_CHANNELS:], sources, np.random.default_rng(0))
        hits = neighbors_probe(tiles, self.tile_labels) == self.tile_labels

        def kind_f1(part: Floats) -> float:
            return macro_f1(kinds, leave_sources_out(part, kinds, sources, linear_probe))

        def cover_r2(part: Floats) -> float:
            return r_squared(cover, leave_sources_out(part, cover, cell_sources, _cover_probe))

        scores = {
            **{"kind_f1": kind_f1(x), "kind_f1_fine": kind_f1(x[:, :_FINE_CHANNELS]), "kind_n": len(x)},
            **{"cover_r2": cover_r2(cells), "cover_r2_fine": cover_r2(cells[:, :_FINE_CHANNELS])},
            **{"cover_n": len(cells), "source_accuracy": float(told.mean()), "source_n": len(told)},
            **{"tiles_accuracy": float(hits.mean()), "tiles_n": len(hits)},
        }
        return {name: round(score, 4) for name, score in scores.items()}

    def _at(self, features: Features, points: str, labels: str) -> tuple[Floats, NDArray, NDArray]:
        """Features, labels and sources of all fields' points."""
        x = np.concatenate([features(f.image, getattr(f, points)) for f in self.nuclei])
        y = np.concatenate([getattr(f, labels) for f in self.nuclei])
        return x, y, np.concatenate([np.full(len(getattr(f, labels)), f.source) for f in self.nuclei])


def _cover_probe(x: Floats, y: Floats, new: Floats) -> Floats:
    return ridge(x, y[:, None], np.ones(len(x), np.float32), new)[:, 0]
