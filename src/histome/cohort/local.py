"""Several slides on this machine; one that fails does not end the others."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from histome.config import Config
from histome.errors import HistomeError, UsageError
from histome.names import slide_id
from histome.pipeline import profile
from histome.store.profile import Profile
from histome.store.runner import Progress

_log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How one slide of several ended: its profile, or the error that ended it."""

    slide_path: Path
    profile: Profile | None
    error: Exception | None

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 2 wrong usage, 3 refused by quality control, 4 refused for broken tiles."""
        return 0 if self.error is None else getattr(self.error, "exit_code", 1)


def profile_slides(
    slide_paths: Iterable[str | Path],
    out: str | Path,
    *,
    watch: Callable[[Path], Progress] | None = None,
    **options: Any,
) -> Iterator[Outcome]:
    """Profile slides one after the other and yield how each ended; one that fails does not end the others.

    `options` are those of `profile`; `watch` makes the progress of one slide. Raises UsageError where two
    slides would share a folder, or regions of interest or nuclei, and where regions are chosen of no file.
    """
    paths = [Path(path) for path in slide_paths]
    config = options.get("config") or Config()
    _refuse_shared_folders(paths)
    config.roi.check()
    if len(paths) > 1:
        _refuse_shared_files(config)
    for path in paths:
        progress = watch(path) if watch else None
        try:
            yield Outcome(path, profile(path, out, progress=progress, **options), None)
        except HistomeError as error:
            yield Outcome(path, None, error)
        except Exception as error:  # a bug met on one slide must not take the others with it
            _log.exception("%s: unexpected error", path)
            yield Outcome(path, None, error)


def _refuse_shared_folders(paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        name = slide_id(path)
        other = seen.setdefault(name, path)
        if other is not path:
            raise UsageError(
                f"{other} and {path} would share the folder {name}; profile them into two folders"
            )


def _refuse_shared_files(config: Config) -> None:
    """Refuse one file of regions or nuclei for several slides."""
    for path, what in ((config.roi.file, "regions"), (config.cells.nuclei, "nuclei")):
        if path is not None and not Path(path).is_dir():
            raise UsageError(
                f"{path}: the {what} of one slide; for several give a folder with a file a slide"
            )


def worst_exit_code(codes: Iterable[int]) -> int:
    """Return the code of the worst outcome: failed (1), wrong usage (2), refused (4, 3), done (0)."""
    order = (1, 2, 4, 3, 0)
    return min(codes, key=order.index, default=0)
