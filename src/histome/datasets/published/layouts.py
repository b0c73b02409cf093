"""The layouts of published sets, by name, and the one function that reads them all."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from histome.datasets.fields import IMAGE_MPP, Field, load_fields
from histome.datasets.published.corrected import CORRECTED, load_corrected
from histome.datasets.published.maps import load_conic, load_cryonuseg, load_lizard, load_pannuke
from histome.datasets.published.outlines import load_monusac, load_nucls, load_puma
from histome.errors import DataError

# Name on the command line -> reader of the layout as it is published.
LAYOUTS: Mapping[str, Callable[[Path, float], Iterator[Field]]] = {
    "pannuke": load_pannuke,
    "lizard": load_lizard,
    "conic": load_conic,
    "nucls": load_nucls,
    "puma": load_puma,
    "monusac": load_monusac,
    "cryonuseg": load_cryonuseg,
}


def load_labeled(name: str, folder: Path, *, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """Fields of a folder: our own layout where it holds `images.csv`, else the published one of that name.

    The name `corrected` is for a folder of profiles that people corrected, see `corrected.load_corrected`.

    Our layout is that of `datasets.load_fields`; its labels are those of the data set of that name in
    `declared`, or, for any other name, our nine classes (`lymphocyte|plasma_cell` for either). Images are
    brought to `image_mpp` um/px.

    Raises
    ------
    DataError
        No such folder, no such layout, or a file that is missing or not as published; one line.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if name == CORRECTED:
        return load_corrected(folder)
    if (folder / "images.csv").is_file():
        return _own(name, folder, image_mpp)
    if name not in LAYOUTS:
        raise DataError(
            f"{folder}: no images.csv, and {name!r} is no layout that is known as published "
            f"({', '.join(LAYOUTS)}); see docs/bring-your-own.md"
        )
    return LAYOUTS[name](folder, image_mpp)


def _own(name: str, folder: Path, image_mpp: float) -> Iterator[Field]:
    try:
        yield from load_fields(folder, name, image_mpp=image_mpp)
    except KeyError as error:
        raise DataError(f"{folder}: a column or label {error} is missing in its tables") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: {' '.join(str(error).split())}") from error
