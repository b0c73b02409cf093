"""The files that a slide consists of."""

from pathlib import Path

from histome.slide.containers.dicom import series_files

_MAX_INDEX_BYTES = 1_000_000


def slide_files(path: Path) -> list[Path]:
    """Return the files of a slide: it, then those that belong to it by name.

    MRXS keeps its pixels in the folder of the same name, Hamamatsu's VMS and VMU in the files that they name,
    DICOM in the other instances of its series.
    """
    match path.suffix.lower():
        case ".mrxs":
            return [path, *sorted(part for part in path.with_suffix("").glob("*") if part.is_file())]
        case ".vms" | ".vmu":
            return [path, *_named_files(path)]
    return series_files(path)


def _named_files(path: Path) -> list[Path]:
    with path.open("rb") as file:
        lines = file.read(_MAX_INDEX_BYTES).decode("utf-8", "replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    # Names alone: what lies elsewhere is none of the slide's.
    named = {path.parent / Path(value.strip()).name for key, value in pairs if "File" in key}
    return sorted(file for file in named - {path} if file.is_file())
