"""Which slides a cohort has: from files, folders, globs, addresses and manifests into one manifest.csv."""

import csv
import glob
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from histome.classes import find_organ
from histome.cohort.remote import is_address
from histome.errors import UsageError
from histome.names import shown, slide_id
from histome.slide.containers.dicom import by_series
from histome.store.disk import writing

MANIFEST_NAME = "manifest.csv"
COLUMNS = ("path", "slide", "patient", "organ", "stain", "mpp", "exclude")
# What a folder is searched for; others may be named one by one, or by a glob.
SLIDE_ENDINGS = (
    *(".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi"),
    *(".png", ".jpg", ".jpeg"),
)
_DICOM_ENDINGS = (".dcm", ".dicom")
# Folders beside the profiles.
RESERVED = ("logs", "thumbnails")
_NO, _YES = ("", "0", "no", "n", "false"), ("1", "yes", "y", "true", "x")
_H_AND_E = ("", "he", "h&e", "h+e", "h and e", "hande", "hematoxylin and eosin", "haematoxylin and eosin")
_MOST_BYTES = 100_000_000


@dataclass(frozen=True)
class CohortSlide:
    """One slide of a cohort: a row of its manifest.

    Attributes
    ----------
    path : str
        A file, or an address that fsspec reads (s3://, gs://, https://).
    slide : str
        What it and its profile's folder are called.
    mpp : float, um/px, or None
        Of level 0; None for what the file says.
    exclude : str
        Why it is left out; empty for one that is in.
    more : dict
        The other columns, as they were.
    """

    path: str
    slide: str
    patient: str = ""
    organ: str = ""
    stain: str = ""
    mpp: float | None = None
    exclude: str = ""
    more: dict[str, str] = field(default_factory=dict)

    def row(self) -> dict[str, str]:
        """Return it as a row of manifest.csv."""
        mpp = "" if self.mpp is None else repr(self.mpp)
        return {**{name: getattr(self, name) for name in COLUMNS}, "mpp": mpp, **self.more}


def read_slides(given: Iterable[str | Path]) -> list[CohortSlide]:
    """Return the slides that files, folders, globs, addresses and manifests (CSV) name, in their order.

    Raises UsageError, one line, where one names nothing, a manifest has a mistake, or two slides would share
    a name.
    """
    slides = [slide for each in given for slide in _slides_of(str(each))]
    if not slides:
        raise UsageError("no slides: name files, folders, globs or a manifest with a column path")
    seen: dict[str, CohortSlide] = {}
    for slide in slides:
        other = seen.setdefault(slide.slide, slide)
        if other is not slide:
            raise UsageError(
                f"{other.path} and {slide.path} would both be the slide {slide.slide}; give a manifest (CSV) "
                "with a column slide that names each"
            )
    return slides


def _slides_of(given: str) -> Iterator[CohortSlide]:
    path = Path(given)
    if is_address(given):
        yield _named(given)
    elif path.suffix.lower() == ".csv":
        yield from _read_manifest(path)
    elif path.is_dir():
        yield from _in_folder(path)
    elif not path.exists() and glob.has_magic(given):
        yield from _all_of(given, map(Path, sorted(glob.glob(given, recursive=True))))
    elif path.exists():
        yield _named(str(path.absolute()))
    else:
        raise UsageError(f"{given}: no such file, folder or manifest")


def _named(path: str, **about: Any) -> CohortSlide:
    return CohortSlide(path, slide_id(Path(path.split("?")[0])), **about)


def _all_of(given: str, paths: Iterable[Path]) -> Iterator[CohortSlide]:
    found = [_named(str(path.absolute())) for path in paths if path.is_file()]
    if not found:
        raise UsageError(f"{given}: names no file")
    yield from found


def _in_folder(folder: Path) -> Iterator[CohortSlide]:
    """Slides that lie in a folder, and series of DICOM in folders of their own within it."""
    entries = sorted(folder.iterdir())
    found = [_named(str(path.absolute())) for path in entries if path.suffix.lower() in SLIDE_ENDINGS]
    for inner in [folder, *(path for path in entries if path.is_dir())]:
        found += _series_in(inner)
    if not found:
        raise UsageError(f"{folder}: no slides in this folder ({' '.join(SLIDE_ENDINGS)}, DICOM in folders)")
    yield from found


def _series_in(folder: Path) -> list[CohortSlide]:
    """DICOM slides of a folder, each its largest file: one is called like the folder, several like these."""
    files = by_series(sorted(path for path in folder.iterdir() if path.suffix.lower() in _DICOM_ENDINGS))
    largest = [str(max(series, key=lambda path: path.stat().st_size).absolute()) for series in files]
    if len(largest) == 1:
        return [CohortSlide(largest[0], shown(folder.resolve().name))]
    return [_named(path) for path in largest]


def _read_manifest(path: Path) -> Iterator[CohortSlide]:
    rows = list(csv.reader(io.StringIO(_text_of(path)), delimiter=_delimiter(_text_of(path))))
    names = [shown(name.strip()) for name in rows[0]] if rows else []
    known = [name.lower() if name.lower() in COLUMNS else name for name in names]
    if "path" not in known:
        raise UsageError(f"{path}: no column path; its columns are {', '.join(names) or 'none'}")
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise UsageError(f"{path}: two columns are called {twice}")
    for number, values in enumerate(rows[1:], 2):
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(known):
            raise UsageError(f"{path}: row {number} has {len(values)} values, the header {len(known)}")
        row = {name: shown(value.strip()) for name, value in zip(known, values, strict=True)}
        yield _slide_of_row(row, path, f"{path}: row {number}")


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: too large for a manifest")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8; save the manifest as CSV UTF-8") from error


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _slide_of_row(row: dict[str, str], manifest: Path, where: str) -> CohortSlide:
    path = row["path"]
    if not path:
        raise UsageError(f"{where}: no path")
    if not is_address(path):
        path = str((manifest.parent / path).absolute())
    slide = _named(
        path,
        patient=row.get("patient", ""),
        organ=_checked(find_organ, row.get("organ", ""), where) or "",
        stain=row.get("stain", ""),
        mpp=_checked(_mpp, row.get("mpp", ""), where),
        exclude=_reason(row),
        more={name: value for name, value in row.items() if name not in COLUMNS},
    )
    return replace(slide, slide=_folder_name(row.get("slide") or slide.slide, where))


def _checked(read: Callable[[str], Any], text: str, where: str) -> Any:
    """Return what a value says; None for an empty one."""
    try:
        return read(text) if text else None
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _mpp(text: str) -> float:
    try:
        mpp = float(text)
    except ValueError:
        mpp = 0.0
    if not 0.0 < mpp < float("inf"):
        raise ValueError(f"mpp {text} is no number of um per px")
    return mpp


def _reason(row: dict[str, str]) -> str:
    """Return why a slide is left out."""
    said, stain = row.get("exclude", ""), row.get("stain", "")
    if said.lower() not in _NO:
        return "excluded in the manifest" if said.lower() in _YES else said
    plain = " ".join(stain.lower().replace("-", " ").replace("_", " ").split())
    return "" if plain.replace(" & ", "&") in _H_AND_E else f"stained with {stain}, not with H&E"


def _folder_name(name: str, where: str) -> str:
    bad = name.startswith(".") or "/" in name or "\\" in name or name in RESERVED or len(name.encode()) > 200
    if bad:
        raise UsageError(f"{where}: {name} cannot be the name of a folder; give another in the column slide")
    return name


def write_manifest(slides: Sequence[CohortSlide], out: Path) -> None:
    """Write manifest.csv of a cohort's folder in one step."""
    more = list(dict.fromkeys(name for slide in slides for name in slide.more))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *more], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(slide.row() for slide in slides)
    partial = out / f".{MANIFEST_NAME}.partial"
    with writing(out):
        partial.write_text(text.getvalue(), encoding="utf-8")
        partial.replace(out / MANIFEST_NAME)
