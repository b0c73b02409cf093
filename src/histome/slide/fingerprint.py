"""A cheap identity of a slide's content."""

import hashlib
from pathlib import Path

SAMPLES = 16
SAMPLE_BYTES = 65_536


def of_file(path: Path) -> str:
    """Return sha256 (hex) over the sizes of a slide's files and up to 16 samples of 64 KiB from each.

    A slide that keeps its pixels beside it (MRXS: a folder of the same name; DICOM: the other instances in
    its folder) is sampled over all those files. Two slides with one fingerprint are, but for damage between
    the samples of a large file, the same slide.
    """
    digest = hashlib.sha256()
    for part in _parts(path):
        digest.update(f"{part.name}:{part.stat().st_size}\n".encode() if part != path else b"")
        _add_samples(digest, part)
    return digest.hexdigest()


def _parts(path: Path) -> list[Path]:
    if path.suffix.lower() == ".mrxs":
        folder = path.with_suffix("")
        return [path, *sorted(part for part in folder.glob("*") if part.is_file())]
    if path.suffix.lower() == ".dcm":
        return [path, *sorted(part for part in path.parent.glob("*.dcm") if part != path)]
    return [path]


def _add_samples(digest: "hashlib._Hash", path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"{size}\n".encode())
    last = max(0, size - SAMPLE_BYTES)
    starts = sorted({last * number // (SAMPLES - 1) for number in range(SAMPLES)})
    with path.open("rb") as file:
        for start in starts:
            file.seek(start)
            digest.update(file.read(SAMPLE_BYTES))
