"""Published label maps: PanNuke, Lizard, CoNIC, CryoNuSeg. Arrays are memory-mapped, read field by field."""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from histome.classes import PANNUKE_CLASSES
from histome.datasets.declared import set_of
from histome.datasets.fields import IMAGE_MPP, Field, FieldId, instance_field, read_rows
from histome.errors import DataError

_SIDE_PX = 256
LIZARD_CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
_PANNUKE_MPP, _LIZARD_MPP, _CRYONUSEG_MPP = 0.25, 0.5, 0.25
_CRYONUSEG_RATER = "Annotator 1 (biologist)"


def load_pannuke(folder: Path, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """PanNuke (Gamper et al. 2020, arXiv:2003.10778), the three folds of the Warwick release, 0.25 um/px.

    `Fold 1/images/fold1/images.npy` (n, 256, 256, 3) and `types.npy` (n,), `Fold 1/masks/fold1/masks.npy`
    (n, 256, 256, 6): instance numbers in a channel for each of neoplastic, inflammatory, connective, dead,
    epithelial, then background. All folds under `folder` are read; the three files may also lie together.

    The slides are not published. `source` is the tissue type: a slide has one, so no slide is in two parts
    of a split by it. Dead cells have no class of their own here: they teach that there is a nucleus.
    """
    for images_path in files_of(folder, "images.npy", "PanNuke"):
        fold = images_path.parent
        masks_path = _first(
            fold / "masks.npy", fold.parent.parent / "masks" / fold.name / "masks.npy", missing="masks"
        )
        types = _array(fold / "types.npy", ())
        images = _array(images_path, (_SIDE_PX, _SIDE_PX, 3), n=len(types))
        masks = _array(masks_path, (_SIDE_PX, _SIDE_PX, len(PANNUKE_CLASSES) + 1), n=len(types))
        sets = [set_of("pannuke", name) for name in PANNUKE_CLASSES]
        for k, tissue in enumerate(types):
            labels, of_label = _join_channels(masks[k, ..., :-1], sets)
            of = FieldId("pannuke", f"{fold.name} {k:04d}", str(tissue), image_mpp)
            rgb = np.clip(images[k], 0, 255).astype(np.uint8)
            yield instance_field(of, rgb, labels, of_label, mpp=_PANNUKE_MPP)


def load_conic(folder: Path, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """CoNIC challenge patches (Graham et al. 2021, arXiv:2111.14485), 4,981 fields of 256 px at 0.5 um/px.

    `images.npy` (n, 256, 256, 3) uint8; `labels.npy` (n, 256, 256, 2): instances, then classes 1-6
    (neutrophil, epithelial, lymphocyte, plasma, eosinophil, connective); `patch_info.csv`: one name a patch,
    `consep_1-0003`. `source` is the Lizard image that the patch was cut from (before the hyphen).
    """
    labels_path = files_of(folder, "labels.npy", "CoNIC")[0]
    names = _patch_names(labels_path.parent / "patch_info.csv")
    images = _array(labels_path.parent / "images.npy", (_SIDE_PX, _SIDE_PX, 3), n=len(names))
    both = _array(labels_path, (_SIDE_PX, _SIDE_PX, 2), n=len(names))
    for k, name in enumerate(names):
        instances, classes = both[k, ..., 0].astype(np.int64), both[k, ..., 1].astype(np.int64)
        numbers, first = np.unique(instances, return_index=True)
        code = dict(zip(numbers.tolist(), classes.ravel()[first].tolist(), strict=True))
        labels, sets = _numbered(instances, code, f"{labels_path}, patch {name}")
        of = FieldId("conic", name, name.rsplit("-", 1)[0], image_mpp)
        yield instance_field(of, np.asarray(images[k], np.uint8), labels, sets, mpp=_LIZARD_MPP)


def load_lizard(folder: Path, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """Lizard (Graham et al. 2021, arXiv:2108.11195), the 238 regions of the Warwick release, 0.5 um/px.

    `Lizard_Images1/*.png`, `Lizard_Images2/*.png` and `Lizard_Labels/Labels/*.mat` with `inst_map` (h, w),
    `id` (n, 1) and `class` (n, 1), 1-6 as in CoNIC; other keys are not needed. Patients are not published:
    `source` is the region. Lizard labels again what GlaS, CRAG, CoNSeP, DigestPath and PanNuke hold, so do
    not keep one of those back and train on the other.
    """
    images = {
        path.stem: path
        for path in sorted(folder.rglob("*.png"))
        if "overlay" not in {part.lower() for part in path.relative_to(folder).parts}
    }
    for path in files_of(folder, "*.mat", "Lizard"):
        if path.stem not in images:
            raise DataError(f"{path}: no image {path.stem}.png under {folder}")
        instances, code = _read_mat(path)
        rgb = np.asarray(Image.open(images[path.stem]).convert("RGB"))
        if rgb.shape[:2] != instances.shape:
            raise DataError(f"{path}: inst_map is {instances.shape}, its image {rgb.shape[:2]}")
        labels, sets = _numbered(instances, code, str(path))
        yield instance_field(
            FieldId("lizard", path.stem, path.stem, image_mpp), rgb, labels, sets, mpp=_LIZARD_MPP
        )


def load_cryonuseg(folder: Path, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """CryoNuSeg (Mahbod et al. 2021, doi:10.1016/j.compbiomed.2021.104349), 30 frozen sections, 0.25 um/px.

    `tissue images/*.tif` (512 x 512, ten organs) and, somewhere below, `label masks modify/<the same name>`:
    instances without types, by two people, of whom the biologist's first round is taken where it is there.
    `source` is the image, one a slide.
    """
    for path in files_of(folder, "tissue images/*.tif", "CryoNuSeg"):
        found = sorted(folder.rglob(f"label masks modify/{path.name}"), key=_by_rater)
        if not found:
            raise DataError(f"{folder}: no 'label masks modify/{path.name}' below it")
        rgb, instances = (
            np.asarray(image) for image in (Image.open(path).convert("RGB"), Image.open(found[0]))
        )
        if instances.shape != rgb.shape[:2]:
            raise DataError(f"{found[0]}: shape {instances.shape}, its image {rgb.shape[:2]}")
        labels, sets = compact(instances.astype(np.int64), [0] * (int(instances.max()) + 1))
        of = FieldId("cryonuseg", path.stem, path.stem, image_mpp)
        yield instance_field(of, rgb, labels, sets, mpp=_CRYONUSEG_MPP)


def _by_rater(path: Path) -> tuple[bool, Path]:
    return _CRYONUSEG_RATER not in path.parts, path


def compact(labels: NDArray[np.integer], sets: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Number the instances that are still there 1..n; `sets` by old number, 0 first."""
    kept = np.unique(labels)
    kept = kept[kept > 0]
    numbers = np.zeros(len(sets), np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[labels], np.concatenate([[0], np.asarray(sets)[kept]]).astype(np.uint16)


def _join_channels(
    channels: NDArray[Any], sets: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """One instance map of a map for each class; where two overlap the earlier channel wins."""
    labels = np.zeros(channels.shape[:2], np.int32)
    of_label = [0]
    for k, mask in enumerate(sets):
        numbers, place = np.unique(channels[..., k], return_inverse=True)
        here = place.reshape(labels.shape) + (len(of_label) - int(numbers[0] == 0))
        inside = (channels[..., k] > 0) & (labels == 0)
        labels[inside] = here[inside]
        of_label += [mask] * int((numbers > 0).sum())
    return compact(labels, of_label)


def _numbered(
    instances: NDArray[np.int64], code: dict[int, int], where: str
) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Instances 1..n with their sets, from the class code (1-6) of each instance number."""
    numbers, place = np.unique(instances, return_inverse=True)
    sets = []
    for number in numbers.tolist():
        known = code.get(number)
        if number and (known is None or not 1 <= known <= len(LIZARD_CLASSES)):
            raise DataError(f"{where}: nucleus {number} has class {known}; 1-{len(LIZARD_CLASSES)} are known")
        sets.append(set_of("lizard", LIZARD_CLASSES[known - 1]) if number and known else 0)
    if numbers[0] != 0:  # no background pixel at all
        place, sets = place + 1, [0, *sets]
    return compact(place.reshape(instances.shape), sets)


def _read_mat(path: Path) -> tuple[NDArray[np.int64], dict[int, int]]:
    try:
        mat = loadmat(path)
        numbers, codes = mat["id"].ravel().tolist(), mat["class"].ravel().tolist()
        return mat["inst_map"].astype(np.int64), dict(zip(numbers, codes, strict=True))
    except KeyError as error:
        raise DataError(f"{path}: no {error}; Lizard's labels hold inst_map, id and class") from error
    except (OSError, ValueError, IndexError, NotImplementedError, MatReadError, zlib.error) as error:
        raise DataError(f"{path}: not one of Lizard's .mat files ({error})") from error


def _patch_names(path: Path) -> list[str]:
    try:
        return [row["patch_info"] for row in read_rows(path)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); it says which patch is whose") from error
    except KeyError as error:
        raise DataError(f"{path}: no column {error}") from error


def files_of(folder: Path, pattern: str, what: str) -> list[Path]:
    """Files below a folder that match, sorted; raises `DataError` where there is none."""
    found = sorted(folder.rglob(pattern))
    if not found:
        raise DataError(f"{folder}: no {pattern}; this is not {what} as it is published")
    return found


def _first(*paths: Path, missing: str) -> Path:
    for path in paths:
        if path.is_file():
            return path
    raise DataError(f"{paths[0]}: no {missing} there, nor at {paths[-1]}")


def _array(path: Path, shape: tuple[int, ...], n: int | None = None) -> NDArray[Any]:
    """Map an array file of (n, *shape) into memory."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an array ({' '.join(str(error).split())})") from error
    if array.shape[1:] != shape or n not in (None, len(array)):
        raise DataError(f"{path}: shape {array.shape}; expected {('n' if n is None else n, *shape)}")
    return array
