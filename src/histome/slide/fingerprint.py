"""What tells one slide from another: a cheap sign to look at often, and a hash of every byte."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from histome.slide.containers.files import slide_files

SAMPLES = 16
SAMPLE_BYTES = 65_536


class Identity(NamedTuple):
    """Which slide this is, as run.json keeps it; a stage's record keeps the content only.

    Attributes
    ----------
    fingerprint : str
        sha256 over sizes, places of the tiles and samples; see `of_file`.
    content : str
        sha256 over every byte: whatever the file is called, wherever it lies and however old it is, a slide
        with this content is the same slide.
    times : str
        sha256 over the times at which the files were last written; while it and the fingerprint stay, so
        does the content. (Hashed: the time itself is often the day of the scan.)
    place : str
        sha256 over the path: what stands there now is the same slide, changed. (Hashed: a path may name a
        patient.)
    """

    fingerprint: str
    content: str
    times: str
    place: str


def identify(path: Path, fingerprint: str, known: Mapping[str, Any]) -> Identity:
    """Return the identity of a slide; its bytes are read unless `known`, an earlier one, still holds."""
    times = _times(path)
    same = (known.get("fingerprint"), known.get("times")) == (fingerprint, times)
    content = known.get("content") if same else None
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return Identity(fingerprint, content if isinstance(content, str) else _content(path), times, place)


def of_file(path: Path, layout: bytes = b"") -> str:
    """Return sha256 (hex) over the sizes of a slide's files and up to 16 samples of 64 KiB from each.

    So it is over `layout`, where the reader found the tiles and how long they are. All files that belong to
    the slide are sampled (`slide_files`). Cheap, and blind to a change between the samples that moves no
    tile; `identify` is not.
    """
    digest = hashlib.sha256(layout)
    for part in slide_files(path):
        _add_name(digest, part, path)
        _add_samples(digest, part)
    return digest.hexdigest()


def _content(path: Path) -> str:
    # 1.2 GB take 2 to 5 s, once a slide; measuring it takes minutes.
    digest = hashlib.sha256()
    for part in slide_files(path):
        _add_name(digest, part, path)
        digest.update(f"{part.stat().st_size}\n".encode())
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _times(path: Path) -> str:
    stats = [part.stat() for part in slide_files(path)]
    return hashlib.sha256(repr([(stat.st_size, stat.st_mtime_ns) for stat in stats]).encode()).hexdigest()


def _add_name(digest: "hashlib._Hash", part: Path, path: Path) -> None:
    if part != path:
        digest.update(os.fsencode(f"{part.name}:{part.stat().st_size}\n"))


def _add_samples(digest: "hashlib._Hash", path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"{size}\n".encode())
    last = max(0, size - SAMPLE_BYTES)
    starts = sorted({last * number // (SAMPLES - 1) for number in range(SAMPLES)})
    with path.open("rb") as file:
        for start in starts:
            file.seek(start)
            digest.update(file.read(SAMPLE_BYTES))
