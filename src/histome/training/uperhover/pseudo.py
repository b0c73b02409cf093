"""Pseudo-labels: a teacher labels unlabeled images at several scales, the most confident patches stay."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.datasets.fields import read_pixels, resize_image, told_image
from histome.errors import DataError, UsageError
from histome.names import shown
from histome.threads import available_cpus, ordered_map
from histome.training.checkpoint import write_text
from histome.training.processes import Worker, wait
from histome.training.progress import say_now
from histome.training.pseudo import surest
from histome.training.uperhover.config import StageConfig, UnlabeledConfig
from histome.training.uperhover.patches import PatchFiles, patch_entropy

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_TCGA_UT_MPP = {str(k): round(0.5 + 0.1 * k, 1) for k in range(6)}
# An image may be shown at most this much finer than it was scanned.
_FINEST = 0.8
# Where most cannot be read it is the disk or the copy, and no labels are made of the rest.
_MOST_DAMAGED = 0.5
_NAMED = 5
# What a stage labels, from when it begins; what it kept, once all is labeled.
PIECES, LABELED = "pieces.csv", "labels.json"
_NUMBERS = "numbers"
_COLUMNS = ("path", "native_mpp", "mpp", "left", "upper", "right", "lower")
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0)

# An image and its um/px -> its class probabilities (k, h, w) and instances (h, w).
Teacher = Callable[[NDArray[np.uint8], float], tuple[NDArray[np.float32], NDArray[np.int32]]]


class PoolImage(NamedTuple):
    """An unlabeled image: um/px, width and height in px, and whether it is shown at its own scale alone."""

    path: Path
    mpp: float
    size_px: tuple[int, int]
    own_scale: bool


class ImagePool(NamedTuple):
    """The images below the unlabeled folders, and of those whose header cannot be read what is wrong."""

    folders: str
    images: list[PoolImage]
    damaged: list[str]


class Piece(NamedTuple):
    """A square of an image at a scale: `box` is left, upper, right, lower at `mpp`."""

    path: Path
    native_mpp: float
    mpp: float
    box: tuple[int, int, int, int]

    def read(self) -> NDArray[np.uint8]:
        """Pixels (h, w, 3) uint8."""
        rgb = read_pixels(self.path)
        scaled = rgb if self.mpp == self.native_mpp else resize_image(rgb, self.native_mpp, self.mpp)
        x0, y0, x1, y1 = self.box
        return np.ascontiguousarray(scaled[y0:y1, x0:x1])


def list_images(unlabeled: Sequence[UnlabeledConfig]) -> ImagePool:
    """List the images below the folders; their headers are read, not their pixels."""
    pool = ImagePool(", ".join(config.folder for config in unlabeled), [], [])
    for config in unlabeled:
        for path in _images_below(Path(config.folder).absolute()):
            own = config.mpp is None or config.layout == "tcga-ut"
            mpp = _tcga_ut_mpp(path, Path(config.folder).absolute()) if own else config.mpp
            try:
                with told_image(path), Image.open(path) as image:
                    pool.images.append(PoolImage(path, cast(float, mpp), image.size, own))
            except DataError as error:
                pool.damaged.append(str(error))
    return pool


def _images_below(folder: Path) -> list[Path]:
    """The images below a folder and the folders that are linked there, each folder once, in their order."""
    seen, found = set[str](), list[Path]()
    for root, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(root) in seen:
            folders.clear()  # a second link, or one that leads back
            continue
        seen.add(os.path.realpath(root))
        folders.sort()
        found += [Path(root, name) for name in names if Path(name).suffix.lower() in IMAGE_ENDINGS]
    return sorted(found)


def pieces(pool: ImagePool, mpps: Sequence[float], side: int) -> list[Piece]:
    """All squares of at most `side` px (and at least half of it) of the images at each scale."""
    found = [piece for image in pool.images for piece in _of_image(image, mpps, side)]
    if not found:
        scales, told = ", ".join(map(str, mpps)), f"; {pool.damaged[0]}" if pool.damaged else ""
        if shown_at := [size for image in pool.images for _, size in _shown(image, mpps)]:
            width, height = max(shown_at, key=min)
            raise DataError(
                f"{pool.folders}: no image is large enough at {scales} um/px: the largest is {width} x "
                f"{height} px, and a patch has {side // 2} px at least, half of training.patch_px{told}"
            )
        raise DataError(f"{pool.folders}: no image that can be shown at {scales} um/px{told}")
    return found


def _of_image(image: PoolImage, mpps: Sequence[float], side: int) -> Iterator[Piece]:
    for mpp, (width, height) in _shown(image, mpps):
        yield from (Piece(image.path, image.mpp, mpp, box) for box in _boxes(width, height, side))


def _shown(image: PoolImage, mpps: Sequence[float]) -> Iterator[tuple[float, tuple[int, int]]]:
    """The scales at which an image may be shown, and its width and height there."""
    for mpp in mpps:
        if not ((image.own_scale and abs(mpp - image.mpp) > 1e-6) or mpp < _FINEST * image.mpp):
            width, height = (round(size * image.mpp / mpp) for size in image.size_px)
            yield mpp, (width, height)


def find_damaged(paths: Iterable[Path]) -> dict[Path, str]:
    """Decode each image once and return, in their order, what is wrong with those that cannot be read."""

    def wrong(path: Path) -> tuple[Path, str]:
        try:
            read_pixels(path)
        except DataError as error:
            return path, str(error)
        return path, ""

    return {path: told for path, told in ordered_map(wrong, paths, available_cpus()) if told}


def refuse_most(damaged: int, n: int, what: str, such: str) -> None:
    """Raise DataError where more than half of n cannot be read: the same limit before and after training."""
    if damaged > _MOST_DAMAGED * n:
        raise DataError(f"{damaged:,} of {n:,} {what} cannot be read, such as {shown(such)}")


def left_out(damaged: Sequence[str], n: int) -> str:
    """Return in words which of n images are left out, the first ones by name; empty where all can be read."""
    if not damaged:
        return ""
    more = f"; and {len(damaged) - _NAMED:,} more" if len(damaged) > _NAMED else ""
    told = f"{len(damaged):,} of {n:,} unlabeled images cannot be read and are left out"
    return f"{told}: {'; '.join(map(shown, damaged[:_NAMED]))}{more}"


def write_pieces(folder: Path, chosen: Sequence[Piece]) -> None:
    """Write what a stage labels, in one move: the numbers of its labels count in this list ever after."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((p.path, p.native_mpp, p.mpp, *p.box) for p in chosen)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("entropy-*.csv"):
        stale.unlink()  # of labels that no list belongs to
    write_text(folder / PIECES, text.getvalue())


def read_pieces(folder: Path) -> list[Piece]:
    """Read what `write_pieces` wrote; raises UsageError where it is damaged."""
    path = folder / PIECES
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
        return [_piece(row) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: is damaged ({error}); remove {folder} to label anew") from error


def _piece(row: dict[str, str]) -> Piece:
    left, upper, right, lower = (int(row[name]) for name in _COLUMNS[3:])
    return Piece(Path(row["path"]), float(row["native_mpp"]), float(row["mpp"]), (left, upper, right, lower))


def labeled_numbers(folder: Path) -> set[int]:
    """The numbers of a stage's pieces that are labeled."""
    return set(_known(folder))


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
    pool: Sequence[Piece], teacher: Teacher, stage: StageConfig, folder: Path, worker: Worker
) -> tuple[PatchFiles, dict[str, Any]]:
    """Label pieces with the teacher and keep the most confident; resumes in `folder`.

    The first process writes pieces.csv, its `pool`, which all label then and after an interruption, whatever
    has become of the folders. Writes `<number>.png`, `_sem_map.png` (uint8 codes), `_inst_map.png` of each.
    What cannot be read is left out and told, and damaged.txt names it; labels.json ends it: what was kept
    then stays so.

    Returns
    -------
    patches : PatchFiles
        The kept ones.
    summary : dict[str, Any]
        Of the filter: total, damaged, without foreground, kept, entropy quantiles.

    Raises
    ------
    DataError
        Most of them cannot be read.
    UsageError
        pieces.csv or labels.json is damaged.
    """
    if (folder / LABELED).exists():
        return _labeled(folder)
    if worker.rank == 0 and not (folder / PIECES).exists():
        write_pieces(folder, pool)
    wait(worker)
    chosen = read_pieces(folder)
    done = labeled_numbers(folder)
    log = folder / f"entropy-{worker.rank}.csv"
    if log.exists():
        os.truncate(log, len(_whole_rows(log)))
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for k in range(worker.rank, len(chosen), worker.processes):
            if k in done:
                continue
            try:
                image = chosen[k].read()
            except DataError:
                continue
            writer.writerow([k, _label(image, chosen[k].mpp, teacher, folder / f"{k:07d}")])
            file.flush()
    wait(worker)
    if worker.rank == 0:
        _finish(chosen, stage.keep, folder)
    wait(worker)
    return _labeled(folder)


def _finish(chosen: Sequence[Piece], share: float, folder: Path) -> None:
    """Write labels.json: what the filter did, and the numbers of the kept ones."""
    known = _known(folder)
    entropies = np.array([known.get(k, np.nan) for k in range(len(chosen))])
    unread = [piece for k, piece in enumerate(chosen) if k not in known]
    keep = surest(entropies, share)
    _tell_unread(unread, len(chosen), folder)
    content = filter_summary(entropies, keep, len(unread)) | {_NUMBERS: np.flatnonzero(keep).tolist()}
    write_text(folder / LABELED, json.dumps(content))


def _labeled(folder: Path) -> tuple[PatchFiles, dict[str, Any]]:
    path = folder / LABELED
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        stems = [folder / f"{k:07d}" for k in summary.pop(_NUMBERS)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: does not say what was kept; remove {folder} to label anew, and checkpoint.pt and "
            f"best-*.pt of {folder.parent}, which learned from it"
        ) from error
    return PatchFiles(stems), summary


def _tell_unread(unread: Sequence[Piece], n: int, folder: Path) -> None:
    names = list(dict.fromkeys(str(piece.path) for piece in unread))
    refuse_most(len(unread), n, f"patches of {folder}", f"of {names[0]}" if names else "")
    (folder / "damaged.txt").unlink(missing_ok=True)
    if names:
        write_text(folder / "damaged.txt", "\n".join(names) + "\n")
        told = f"such as of {shown(names[0])}; {folder / 'damaged.txt'} names their images"
        say_now(f"warning: {len(unread):,} of {n:,} patches cannot be read and are left out, {told}")


def _label(image: NDArray[np.uint8], mpp: float, teacher: Teacher, stem: Path) -> float:
    probabilities, instances = teacher(image, mpp)
    if instances.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{stem}: more than 65,535 nuclei in one patch; take smaller patches")
    Image.fromarray(image).save(stem.with_name(stem.name + ".png"))
    classes = probabilities.argmax(0).astype(np.uint8)
    Image.fromarray(classes).save(stem.with_name(stem.name + "_sem_map.png"))
    Image.fromarray(instances.astype(np.uint16)).save(stem.with_name(stem.name + "_inst_map.png"))
    return patch_entropy(probabilities)


def _known(folder: Path) -> dict[int, float]:
    """Entropy of each labeled piece by its number, of all processes that ever labeled."""
    return {k: e for path in folder.glob("entropy-*.csv") for k, e in _read_log(path).items()}


def _read_log(path: Path) -> dict[int, float]:
    """Entropies of a log by the number of their piece; of a last row that was cut off nothing is known."""
    found: dict[int, float] = {}
    for row in csv.reader(_whole_rows(path).decode("utf-8", "replace").splitlines()):
        with suppress(ValueError):
            number, value = row
            found[int(number)] = float(value)
    return found


def _whole_rows(path: Path) -> bytes:
    """What a log holds up to its last end of a line."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def filter_summary(
    entropies: NDArray[np.floating], keep: NDArray[np.bool_], damaged: int = 0
) -> dict[str, Any]:
    """What the filter did: total, damaged, without_foreground, kept, entropy quantiles (nats)."""
    seen = entropies[np.isfinite(entropies)]
    quantiles = np.quantile(seen, _QUANTILES).round(4).tolist() if len(seen) else []
    return {
        "total": len(entropies),
        "damaged": damaged,
        "without_foreground": len(entropies) - len(seen) - damaged,
        "kept": int(keep.sum()),
        "entropy_quantiles": dict(zip(map(str, _QUANTILES), quantiles, strict=False)),
    }
