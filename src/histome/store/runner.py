"""The stage runner: resume, one writer, nothing half-written.

A stage computes a value, saves it into a hidden folder beside its own and renames that into place, so a
stage's folder is there whole or not at all. What decides its result (settings, weights, backend, the code it
runs, the slide or the stages that it reads) is hashed into a key kept in the folder; a stage is skipped while
its key is unchanged.
"""

import json
import logging
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from histome.errors import (
    BrokenTilesError,
    Interrupted,
    NoTissueError,
    OutputError,
    SlideError,
    error_line,
)
from histome.names import shown
from histome.slide.fingerprint import Identity
from histome.store import files as store
from histome.store.checkpoint import Checkpoint
from histome.store.disk import remove_folder, remove_if_empty, remove_partial, write_json, writing
from histome.store.graph import Stage, code_version, stage_keys
from histome.store.lock import FolderLock
from histome.store.logged import logged_warnings
from histome.store.ownership import FORMAT, owned_slide, refuse_another_slide
from histome.store.profile import RUN_NAME, load_part, read_run, read_stage
from histome.store.sealed import find_damage, write_sealed
from histome.store.slide_row import SLIDE_ROW, SLIDE_UNITS, holds_slide_row, keep_slide_row
from histome.threads import give_back_memory

if TYPE_CHECKING:
    from histome.slide import Slide

RESEARCH_USE = "For research use only. Not for use in diagnostic procedures."

_log = logging.getLogger(__name__)
T = TypeVar("T")
# Called as progress(stage, done, total): (0, 0) when a stage starts, done = total when it ends.
Progress = Callable[[str, float, float], None]


class _LostStage(OutputError):
    """Results that were there when the run began, or that it wrote itself, and cannot be loaded."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Run:
    """One slide's run into its folder: `with Run(...) as run: run.stage(...)`.

    A run that fails removes what it had not finished.

    Parameters
    ----------
    path : Path
        The profile's folder, made when missing.
    slide : Slide
        An open slide; its content and resolution are part of every key.
    stages : sequence of Stage
        All stages in order.
    wanted : sequence of str
        Names those to bring up to date.
    about : callable(content)
        Gives what run.json says besides (versions, settings, models, warnings), from what it says so far.
    overwrite : bool
        Replace the profile of another slide; what is no profile is never replaced.
    progress : callable(stage, done, total)
        Called when a stage starts and ends.

    Raises
    ------
    OutputError
        On entering, one line, when the folder cannot be written, is being written by another process, holds
        something else than a profile, or that of another slide.
    """

    def __init__(
        self,
        path: Path,
        slide: "Slide",
        stages: Sequence[Stage],
        *,
        wanted: Sequence[str],
        about: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.path = path
        self._slide = slide
        self._wanted = wanted
        self._about = about
        self._progress = progress or (lambda *_: None)
        self._overwrite = overwrite
        self._facts: dict[str, Any] = {}
        self._code = code_version()
        self._stages = stages
        self._keys: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._started = time.time()
        self._told: dict[str, Any] = {}
        self._made_again: dict[str, str] = {}  # stages saved before and lost, and why
        self._whole: set[str] = set()  # stages known to be as they were written
        self._made: set[str] = set()  # stages made by this run
        self._makers: dict[str, tuple[Callable[[], Any], store.Files[Any]]] = {}
        self._idle = True  # has said nothing yet
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        names = [stage.name for stage in self._stages]
        with writing(self.path), ExitStack() as stack:
            owned_slide(self.path, names)  # before a lock is left in a folder of somebody else
            self.path.mkdir(parents=True, exist_ok=True)
            stack.callback(remove_if_empty, self.path)
            stack.enter_context(FolderLock(self.path))
            self._recognize(owned_slide(self.path, names))
            stack.push(self._close)  # from here on a signal finds a run that says how it ended
            self._begin()
            self._stack = stack.pop_all()
        return self

    def _recognize(self, before: Mapping[str, Any]) -> None:
        """Learn which slide this is, and what decides its results."""
        self._facts = _slide_facts(self._slide, before)
        if not self._overwrite:
            refuse_another_slide(self.path, before, self._facts)
        mpp = self._slide.mpp
        self._keys = stage_keys(self._stages, {"slide": self._facts["content"], "mpp": [mpp.x, mpp.y]})

    def _begin(self) -> None:
        before = read_run(self.path)
        # A finished run is left as it is, dates, times and all, unless something else is said of its slide.
        done = before.get("state") == "done" and all(map(self._is_done, self._wanted))
        if done and self._says_the_same(before) and holds_slide_row(self.path, before):
            self._remove_partial()
            self._remember(before)
            return
        self._idle = False
        for name in self._keys:
            if self._is_done(name):
                self._seconds[name] = before.get("stages", {}).get(name, {}).get("seconds")
            else:
                self._remember_damage(name)
                remove_folder(self.path / name)
        self._remove_partial()
        self._write("running")

    def _remember(self, before: Mapping[str, Any]) -> None:
        """Keep what tells the slide next time, so that one that was moved is read through once only."""
        slide = before["slide"] | {sign: self._facts[sign] for sign in Identity._fields}
        if slide != before["slide"]:
            write_json(self.path / RUN_NAME, {**before, "slide": slide})

    def _says_the_same(self, before: Mapping[str, Any]) -> bool:
        """Whether the warnings are those of before, and what is stated of the slide."""
        now = json.loads(json.dumps(self._content("done", None)))
        then, told = ((it.get("warnings"), it.get("config", {}).get("slide")) for it in (before, now))
        return then == told

    def _remove_partial(self, *, all_parts: bool = False) -> None:
        """Remove what was cut off, but for the checkpoints of stages that are still to be made."""
        keep = {self._checkpoints(name).name for name in self._keys if name not in self._whole}
        names = [*self._keys, RUN_NAME, SLIDE_ROW, SLIDE_UNITS]
        remove_partial(self.path, names, keep=() if all_parts else keep)

    def _remember_damage(self, name: str) -> None:
        """Warn where a stage would still hold, were it as it was written."""
        key = self._record(name).get("key", self._keys[name])  # of a lost record nobody knows
        if name in self._wanted and key == self._keys[name] and (self.path / name).is_dir():
            self._warn_of(name, find_damage(self.path / name))

    def _warn_of(self, name: str, damage: str | None) -> None:
        """Warn that a stage is made again: in run.json only, for the stage's own record stays the same."""
        self._made_again[name] = f"the {name} results saved before were damaged and are made again: {damage}"
        _log.warning("%s: %s", self._slide.id, self._made_again[name])

    def tell(self, **facts: Any) -> None:
        """Add facts that only a stage's work knows to run.json; call it from within the stage's `compute`."""
        self._told.update(facts)

    def broken_tiles(self, stage: str | None = None) -> "list[tuple[int, ...]]":
        """Return the boxes (level-0 px) of tiles that could not be read, in one finished stage or ever."""
        stages = self._keys if stage is None else [stage]
        found = {tuple(box) for name in stages for box in self._record(name).get("broken_tiles_px", [])}
        return sorted(found if stage else {*found, *self._slide.broken.boxes})

    def stage(self, name: str, compute: Callable[[], Any], files: store.Files[T]) -> Callable[[], T]:
        """Bring one stage up to date and return what loads its value from disk.

        What comes after sees the saved value, whether it was computed just now or by an earlier run.
        Raises what `compute` raises, OutputError where saving fails, and NoTissueError again where an
        earlier run was refused in this stage.
        """
        self._makers[name] = (compute, files)
        if name in self._wanted:
            if not self._is_done(name):
                self._bring(name)
            if refusal := self._record(name).get("refused"):
                raise NoTissueError(refusal)
        return partial(self._load, name, files)

    def checkpoint(self, name: str, files: store.Files[T]) -> Checkpoint[T]:
        """Return where a stage's work may keep what it has done, for a run that goes on after this one."""
        return Checkpoint(self._checkpoints(name), files, self._slide)

    def _checkpoints(self, name: str) -> Path:
        return self.path / f".{name}-{self._keys[name][:16]}.partial"

    def _load(self, name: str, files: store.Files[T]) -> T:
        try:
            value = load_part(files.load, self.path / name)
        except OutputError as error:
            raise _LostStage(name, str(error)) from error
        give_back_memory()
        return value

    def _bring(self, name: str) -> None:
        """Make a stage; what it reads and does not load is made again first, unless it was made just now."""
        while True:
            try:
                return self._do(name, *self._makers[name])
            except _LostStage as lost:
                if lost.name in self._made:
                    raise
                self._warn_of(lost.name, "they could not be loaded")
                self._whole.discard(lost.name)
                remove_folder(self.path / lost.name)
                self._bring(lost.name)

    def _do(self, name: str, compute: Callable[[], T], files: store.Files[T]) -> None:
        started = time.perf_counter()
        _log.info("%s: %s starts", self._slide.id, name)
        self._progress(name, 0.0, 0.0)
        self._told = {}
        with logged_warnings() as lines:
            value, refusal = _compute(compute)
        give_back_memory()
        self._slide.check_unchanged(self._facts["fingerprint"])
        record = {
            "format": FORMAT,
            "key": self._keys[name],
            "slide": {sign: self._facts[sign] for sign in ("file", "content")},  # the same wherever it lies
            "refused": refusal,
            "warnings": lines,
            "broken_tiles_px": [list(map(int, box)) for box in self._broken_so_far(name)],
            "facts": self._told,
        }
        with writing(self.path):
            write_sealed(self.path / name, record, partial(files.save, value))
            self._whole.add(name)
            self._made.add(name)
            shutil.rmtree(self._checkpoints(name), ignore_errors=True)
        self._seconds[name] = round(time.perf_counter() - started, 3)
        self._write("running")
        self._progress(name, 1.0, 1.0)
        _log.info("%s: %s took %.1f s", self._slide.id, name, self._seconds[name])

    def _broken_so_far(self, name: str) -> "list[tuple[int, ...]]":
        """Return the boxes met up to a stage, by whichever runs made those before: all give one record."""
        names = list(self._keys)
        before = (box for stage in names[: names.index(name)] for box in self.broken_tiles(stage))
        return sorted({*before, *map(tuple, self._slide.broken.boxes)})

    def _record(self, name: str) -> dict[str, Any]:
        return read_stage(self.path / name)

    def _is_done(self, name: str) -> bool:
        """Whether a stage is there, still holds and is as it was written; its files are read once a run."""
        if name not in self._whole and self._record(name).get("key") == self._keys[name]:
            self._whole |= {name} if find_damage(self.path / name) is None else set()
        return name in self._whole

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _close(self, _: object, error: BaseException | None, __: object) -> None:
        if not self._idle:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        try:
            # What was read of a slide that then failed is not gone on with.
            self._remove_partial(all_parts=isinstance(error, SlideError))
            self._write(_state(error), error)
        except (OSError, OutputError):
            if error is None:  # else the first error is the one to tell
                raise
        if error is not None and not any(map(self._is_done, self._keys)):
            (self.path / RUN_NAME).unlink(missing_ok=True)

    def _write(self, state: str, error: BaseException | None = None) -> None:
        content = self._content(state, error)
        with writing(self.path):
            write_json(self.path / RUN_NAME, content)
            keep_slide_row(self.path, content)

    def _content(self, state: str, error: BaseException | None) -> dict[str, Any]:
        records = {name: record for name in self._keys if (record := self._record(name))}
        boxes = sorted({tuple(box) for record in records.values() for box in record["broken_tiles_px"]})
        facts = {name: fact for record in records.values() for name, fact in record["facts"].items()}
        broken = {"count": len(boxes), "tissue_share": facts.pop("broken_share", None), "boxes_px": boxes}
        now = time.time()
        content: dict[str, Any] = {
            "format": FORMAT,
            "research_use_only": RESEARCH_USE,
            "state": state,
            "error": None if error is None else error_line(error),
            "exit_code": None if state == "running" else _exit_code(error),
            "slide": {**self._facts, "broken_tiles": broken},
            "stages": {
                name: {
                    "key": record["key"],
                    "seconds": self._seconds.get(name),
                    "warnings": [*record["warnings"], *filter(None, [self._made_again.get(name)])],
                }
                for name, record in records.items()
            },
            "started": _date(self._started),
            "finished": _date(now),
            "seconds": round(now - self._started, 3),
            "code": self._code,
            **facts,
        }
        return {**content, **self._about(content)}


def _slide_facts(slide: "Slide", before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what run.json says of a slide; its path is left out, it may name a patient or a user."""
    return {
        "id": slide.id,
        "file": shown(slide.path.name),
        **slide.identity(before)._asdict(),
        "format": slide.reader.format,
        "size_px": list(slide.size_px),
        "mpp": {
            "x": slide.mpp.x,
            "y": slide.mpp.y,
            "source": slide.mpp.source,
            "estimated": slide.mpp.estimated,
            "notes": list(slide.mpp.notes),
        },
        "notes": list(slide.reader.notes),
        "pages": slide.reader.pages,
        "properties": dict(slide.reader.properties),
    }


def _compute(compute: Callable[[], T]) -> tuple[T, str | None]:
    """Return the value and no refusal, or the quality that made quality control refuse and why."""
    try:
        return compute(), None
    except NoTissueError as error:
        if error.quality is None:
            raise
        return error.quality, str(error)


def _state(error: BaseException | None) -> str:
    if error is None:
        return "done"
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return "interrupted"
    return "refused" if isinstance(error, NoTissueError | BrokenTilesError) else "failed"


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):  # in Python; the command line makes it an Interrupted
        return Interrupted(signal.SIGINT).exit_code
    return getattr(error, "exit_code", 1)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
