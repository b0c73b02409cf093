"""Pseudo-labels: a teacher labels unlabeled images at several scales, the most confident patches stay."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.datasets.fields import resize_image
from histome.errors import DataError
from histome.training.processes import Worker, wait
from histome.training.pseudo import surest
from histome.training.uperhover.config import StageConfig, UnlabeledConfig
from histome.training.uperhover.patches import PatchFiles, patch_entropy

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_TCGA_UT_MPP = {str(k): round(0.5 + 0.1 * k, 1) for k in range(6)}
# An image may be shown at most this much finer than it was scanned.
_FINEST = 0.8
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0)

# An image and its um/px -> its class probabilities (k, h, w) and instances (h, w).
Teacher = Callable[[NDArray[np.uint8], float], tuple[NDArray[np.float32], NDArray[np.int32]]]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what is raised of an image that cannot be read into one line."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as an image ({error}); mend it or take it away") from error


class Piece(NamedTuple):
    """A square of an image at a scale: `box` is left, upper, right, lower at `mpp`."""

    path: Path
    native_mpp: float
    mpp: float
    box: tuple[int, int, int, int]

    def read(self) -> NDArray[np.uint8]:
        """Pixels (h, w, 3) uint8."""
        with _told(self.path), Image.open(self.path) as image:
            rgb = np.asarray(image.convert("RGB"))
        scaled = rgb if self.mpp == self.native_mpp else resize_image(rgb, self.native_mpp, self.mpp)
        x0, y0, x1, y1 = self.box
        return np.ascontiguousarray(scaled[y0:y1, x0:x1])


def pieces(unlabeled: Sequence[UnlabeledConfig], mpps: Sequence[float], side: int) -> list[Piece]:
    """All squares of at most `side` px (and at least half of it) of the folders' images at each scale."""
    found = [piece for config in unlabeled for piece in _of_folder(config, mpps, side)]
    if not found:
        places = ", ".join(config.folder for config in unlabeled)
        raise DataError(f"{places}: no image that can be shown at {', '.join(map(str, mpps))} um/px")
    return found


def _of_folder(config: UnlabeledConfig, mpps: Sequence[float], side: int) -> Iterator[Piece]:
    for path in sorted(Path(config.folder).rglob("*")):
        if path.suffix.lower() not in IMAGE_ENDINGS:
            continue
        native, shown = config.mpp, mpps
        if native is None or config.layout == "tcga-ut":
            native = _tcga_ut_mpp(path, Path(config.folder))
            shown = [mpp for mpp in mpps if abs(mpp - native) < 1e-6]
        with _told(path), Image.open(path) as image:
            width, height = image.size
        for mpp in shown:
            if mpp < _FINEST * native:
                continue
            size = (round(width * native / mpp), round(height * native / mpp))
            yield from (Piece(path, native, mpp, box) for box in _boxes(*size, side))


def _tcga_ut_mpp(path: Path, folder: Path) -> float:
    """Scale of `<cancer>/<scale>/<case>/<image>`."""
    for part in path.relative_to(folder).parts[:-1]:
        if part in _TCGA_UT_MPP:
            return _TCGA_UT_MPP[part]
    raise DataError(f"{path}: no folder 0-5 above it says its scale (TCGA-UT: <cancer>/<scale>/<case>/*.jpg)")


def _boxes(width: int, height: int, side: int) -> Iterator[tuple[int, int, int, int]]:
    for y in range(0, height, side):
        for x in range(0, width, side):
            right, lower = min(x + side, width), min(y + side, height)
            if min(right - x, lower - y) >= side // 2:
                yield x, y, right, lower


def label_pieces(
    chosen: Sequence[Piece], teacher: Teacher, stage: StageConfig, folder: Path, worker: Worker
) -> tuple[PatchFiles, dict[str, Any]]:
    """Label pieces with the teacher and keep the most confident; resumes in `folder`.

    Writes `<number>.png`, `_sem_map.png` (uint8 codes), `_inst_map.png` of each and labels.json. The
    processes of torchrun share the work.

    Returns
    -------
    patches : PatchFiles
        The kept ones.
    summary : dict[str, Any]
        Of the filter: total, without foreground, kept, entropy quantiles.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"entropy-{worker.rank}.csv"
    done = set(_read_log(log))
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for k in range(worker.rank, len(chosen), worker.processes):
            if k not in done:
                writer.writerow([k, _label(chosen[k], teacher, folder / f"{k:07d}")])
                file.flush()
    wait(worker)
    entropies = np.full(len(chosen), np.nan)
    for path in folder.glob("entropy-*.csv"):
        for k, entropy in _read_log(path).items():
            entropies[k] = entropy
    keep = surest(entropies, stage.keep)
    summary = filter_summary(entropies, keep)
    if worker.rank == 0:
        (folder / "labels.json").write_text(json.dumps(summary, indent=1))
    return PatchFiles([folder / f"{k:07d}" for k in np.flatnonzero(keep)]), summary


def _label(piece: Piece, teacher: Teacher, stem: Path) -> float:
    image = piece.read()
    probabilities, instances = teacher(image, piece.mpp)
    if instances.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{stem}: more than 65,535 nuclei in one patch; take smaller patches")
    Image.fromarray(image).save(stem.with_name(stem.name + ".png"))
    classes = probabilities.argmax(0).astype(np.uint8)
    Image.fromarray(classes).save(stem.with_name(stem.name + "_sem_map.png"))
    Image.fromarray(instances.astype(np.uint16)).save(stem.with_name(stem.name + "_inst_map.png"))
    return patch_entropy(probabilities)


def _read_log(path: Path) -> dict[int, float]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row[0]): float(row[1]) for row in csv.reader(file) if len(row) == 2}


def filter_summary(entropies: NDArray[np.floating], keep: NDArray[np.bool_]) -> dict[str, Any]:
    """What the filter did: total, without_foreground, kept, entropy quantiles (nats)."""
    seen = entropies[np.isfinite(entropies)]
    quantiles = np.quantile(seen, _QUANTILES).round(4).tolist() if len(seen) else []
    return {
        "total": len(entropies),
        "without_foreground": len(entropies) - len(seen),
        "kept": int(keep.sum()),
        "entropy_quantiles": dict(zip(map(str, _QUANTILES), quantiles, strict=False)),
    }
