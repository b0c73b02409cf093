"""Slides from anywhere that fsspec reads, through a folder of copies whose size is bounded."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from histome.errors import HeldError, HistomeError, OutputError, SlideError, UsageError
from histome.names import slide_id
from histome.store.disk import read_json, write_json, writing
from histome.store.lock import LOCK_NAME, FolderLock

# What tells that an address still gives the same bytes, as far as its server says it.
_SIGNS = ("size", "ETag", "etag", "LastModified", "last_modified", "mtime", "generation", "md5Hash")
_BLOCK = 4 << 20
_SIGN_NAME = "sign.json"
_PAUSE_S = 1.0


class Cache(NamedTuple):
    """Where copies of remote slides lie, and how large they may be together."""

    folder: Path
    most_gb: float


def is_address(path: str) -> bool:
    """Whether a path is an address that fsspec reads, not a file of this machine."""
    head, mark, _ = path.partition("://")
    return bool(mark) and head.replace("+", "").isalnum()


@contextmanager
def local_copy(address: str, cache: Cache, *, known: bool = False) -> Iterator[Path]:
    """Give the path of a copy of a remote slide for the block, fetched unless it is there and the same.

    Where the slide is `known` nothing is fetched while the address says what it said before, or nothing at
    all: the path then may lead nowhere. Raises SlideError where the address cannot be read, OutputError where
    the copy does not fit.
    """
    folder = cache.folder / hashlib.sha256(address.encode()).hexdigest()[:24]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder, wait=True):  # nobody removes it meanwhile
        path = folder / _file_name(address)
        with suppress(SlideError) if known else nullcontext():
            _bring(address, path, cache, known=known)
        with suppress(OSError):
            os.utime(folder)  # the last to be removed
        yield path


def _file_name(address: str) -> str:
    """Return what a copy is called: never a name that leads elsewhere."""
    last = Path(address.split("?")[0])
    return slide_id(last) + last.suffix


def _bring(address: str, path: Path, cache: Cache, *, known: bool) -> None:
    with _opened(address) as (source, sign):
        if read_json(path.parent / _SIGN_NAME) == sign and sign["signs"] and (path.is_file() or known):
            return
        path.unlink(missing_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        try:
            with writing(path.parent), FolderLock(cache.folder, wait=True):
                _make_room(cache, sign["bytes"] or 0, address)
                partial.touch()
                os.truncate(partial, sign["bytes"] or 0)  # counts from now on
            _fetch(source, partial, sign["bytes"], address)
            with writing(path.parent):
                partial.replace(path)
                write_json(path.parent / _SIGN_NAME, sign)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _opened(address: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open an address and say what tells its content; every error of its library is one line."""
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise UsageError(f"{address}: install what reads it: pip install 'histome[remote]'") from error
    try:
        system, path = fsspec.url_to_fs(address)
        about = system.info(path)
        signs = {name: str(about[name]) for name in _SIGNS if about.get(name) is not None}
        with system.open(path, "rb", block_size=_BLOCK) as source:
            size = about.get("size")
            yield source, {"address": address, "bytes": size, "signs": signs if size else {}}
    except HistomeError:
        raise
    except Exception as error:  # whatever a library says of an address
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SlideError(f"{address} cannot be read ({reason})") from error


def _fetch(source: Any, partial: Path, size: int | None, address: str) -> None:
    got = 0
    with writing(partial.parent), partial.open("r+b") as file:
        while block := source.read(_BLOCK):
            got += len(block)
            file.write(block)
    if size is not None and got != size:
        raise SlideError(f"{address} gave {got} bytes of {size}")


def _make_room(cache: Cache, size: int, address: str) -> None:
    """Remove the copies not used for longest until another of `size` bytes fits; wait for those in use."""
    most = int(cache.most_gb * 1e9)
    if size > most:
        raise OutputError(
            f"{address} has {size / 1e9:.3g} GB, copies may have {cache.most_gb:g}; allow more (--cache-gb)"
        )
    while True:
        copies = sorted(cache.folder.glob("*/*"), key=lambda path: path.parent.stat().st_mtime)
        sizes = {path: path.stat().st_size for path in copies if path.name not in (_SIGN_NAME, LOCK_NAME)}
        for path in sizes:
            if sum(sizes.values()) + size <= most:
                return
            with suppress(HeldError), FolderLock(path.parent):
                path.unlink(missing_ok=True)
                sizes = {**sizes, path: 0}
        if sum(sizes.values()) + size <= most:
            return
        time.sleep(_PAUSE_S)
