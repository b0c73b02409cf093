"""The whole method on one screen: a slide goes in, a profile comes out.

Imports of the stages stand in the functions that run them: a finished profile is recognized in well under the
time that the pixel, network and drawing libraries take to load.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from histome.config import CellsConfig, Config
from histome.errors import BrokenTilesError, NoTissueError, UsageError
from histome.store.files import (
    MEASURED_CELLS,
    MEASURED_TISSUE,
    METRICS,
    NARRATIVE,
    NUCLEI,
    NUCLEI_READ,
    PARTS,
    QUALITY,
    REPORT,
    Parts,
    find_edits,
    with_edits,
)
from histome.store.graph import Stage, with_ancestors
from histome.store.notebook import notebook_progress
from histome.store.profile import Profile, load_profile
from histome.store.runner import Progress, Run
from histome.threads import available_cpus, limited, prepare_memory

if TYPE_CHECKING:
    import pyarrow as pa

    from histome.cells.rows import CellRows
    from histome.cells.windows import CellSearch
    from histome.geotable import FiledTable, TableLike
    from histome.interop.given import RunFiles
    from histome.models.card import Card
    from histome.models.runtime import Predictor
    from histome.qc import Quality
    from histome.slide import ClassMap, Slide
    from histome.store.files import Files
    from histome.tissue import Tissue

# What each stage reads, and the code that decides its result; a test holds the latter against the imports.
_PIXELS = ("slide", "geometry", "geotable.py", "classes.py", "colors.py", "store/files.py")
_CELLS = ("cells", "tissue", "qc", "models", *_PIXELS)
_NUMBERS = ("metrics", "store/edits.py", "store/disk.py", *_CELLS)
_WORDS = ("narrative", "phenotype", "caveats", "metrics", "store", *_CELLS)
_GRAPH = (
    Stage("qc", code=("qc", "models", *_PIXELS)),
    Stage("tissue", after=("qc",), code=("tissue", "qc", "models", *_PIXELS)),
    Stage("cells", after=("tissue",), code=_CELLS),
    Stage("metrics", after=("qc", "tissue", "cells"), code=_NUMBERS),
    Stage("parts", after=("qc", "tissue", "cells"), code=_NUMBERS),
    Stage("narrative", after=("metrics",), code=_WORDS),
    Stage(
        "report",
        after=("qc", "tissue", "cells", "metrics", "narrative"),
        code=("report", "render", *_WORDS),
    ),
)
STAGES = tuple(stage.name for stage in _GRAPH)
T = TypeVar("T")
_log = logging.getLogger(__name__)


def profile(
    slide_path: str | Path,
    out: str | Path,
    *,
    mpp: float | None = None,
    config: Config | None = None,
    stages: Sequence[str] = STAGES,
    workers: int | None = None,
    overwrite: bool = False,
    allow_estimated_mpp: bool = False,
    progress: Progress | None = None,
) -> Profile:
    """Measure one slide and write its profile to `out`/<the slide's file name without its ending>.

    What is on disk already and still holds (same slide, settings, models and code) is not made again. Of a
    slide that is gone what needs no pixels can be: metrics, parts and narrative, but no report.

    Parameters
    ----------
    slide_path : str or Path
        Whole-slide image or field of view; see `histome.open_slide` for the formats.
    out : str or Path
        The folder of profiles.
    mpp : float, um/px, or None
        Of level 0, overrides what the file says.
    config : Config or None
        Settings; None for the defaults.
    stages : sequence of str
        Names out of `STAGES`; these and the stages they need are brought up to date.
    workers : int or None
        Threads, by default as many as CPUs may be used; the number never changes a result.
    overwrite : bool
        Replace another slide's profile of the same name; what is no profile is never replaced.
    allow_estimated_mpp : bool
        Take 10 / magnification where the file says no um/px, as `[slide] allow_estimated_mpp` does.
    progress : callable(stage, done, total) or None
        Called while a stage runs; in a notebook None draws a bar for each stage.

    Raises
    ------
    SlideError, MppError
        The slide cannot be read, or its resolution is not known; nothing is written.
    NoTissueError
        Quality control found nothing to measure; `qc/` and run.json are kept and say so.
    BrokenTilesError, ModelError, OutputError, UsageError
        As their names say. Every message is one line.

    Examples
    --------
    >>> profile = histome.profile("slide.svs", "out")

    Every declared metric has a row, with a value or with the reason why it has none:

    >>> metrics = {row["name"]: row for row in profile.metrics.to_pylist()}
    >>> len(metrics)
    8876
    >>> metrics["LARGEST_ROUNDNESS_BLOOD"]["value"], metrics["LARGEST_ROUNDNESS_BLOOD"]["reason"]
    (None, 'there is no region of blood')
    """
    prepare_memory()  # before the libraries are loaded
    from histome.caveats.about import about_run
    from histome.store.kept import open_or_kept, possible_stages

    config, wanted, workers = _settings(config, allow_estimated_mpp), _wanted(stages), _workers(workers)
    progress = progress or notebook_progress(Path(slide_path).name) or (lambda *_: None)
    with open_or_kept(Path(slide_path), Path(out), config.slide, mpp) as slide:
        cards, files, folder = _cards(config), _files(config, slide), Path(out) / slide.id
        plan, about = _plan(config, cards, files, slide.id), about_run(config, cards)
        wanted = possible_stages(wanted, plan, slide, with_parts=bool(files and files.regions))
        options = {"wanted": wanted, "about": about, "progress": progress}
        with Run(folder, slide, plan, overwrite=overwrite, **options) as run:
            work = _Work(slide, config, cards, files, workers, run, progress)
            quality = run.stage("qc", work.assess, QUALITY)
            tissue = run.stage("tissue", lambda: work.segment_tissue(quality), MEASURED_TISSUE)
            cells = run.stage("cells", lambda: work.find_cells(tissue, quality), MEASURED_CELLS)
            metrics = run.stage("metrics", lambda: work.measure(tissue(), cells(), quality()), work.numbers)
            run.stage("parts", lambda: work.measure_parts(tissue(), cells()), PARTS)
            run.stage("narrative", lambda: work.narrate(metrics()), NARRATIVE)
            run.stage("report", work.render_report, REPORT)
        return load_profile(folder)


def _limited(work: Callable[..., T]) -> Callable[..., T]:
    """Hold the libraries' own threads to the run's number while a stage works, and only then."""

    @wraps(work)
    def within_limits(self: "_Work", *args: Any) -> T:
        with limited(self.workers):
            return work(self, *args)

    return within_limits


@dataclass(frozen=True)
class _Work:
    """Each stage as a call of the one function that does it."""

    slide: "Slide"
    config: Config
    cards: "Mapping[str, Card]"
    files: "RunFiles | None"
    workers: int
    run: Run
    progress: Progress

    @_limited
    def assess(self) -> "Quality":
        from histome.qc import assess

        regions = self.files and self.files.regions
        if self.files and regions:
            self.run.tell(roi=self.files.roi_about)
        try:
            network = self._network("qc") if "qc" in self.cards else None
            quality = assess(self.slide, self.config.qc, regions, network=network, workers=self.workers)
        except NoTissueError as refusal:
            self._check_broken(partial(getattr, refusal, "quality"), self.slide.broken.boxes)
            raise
        self._check_broken(lambda: quality, self.slide.broken.boxes)
        self.run.tell(quality=quality.summary())
        return quality

    @_limited
    def segment_tissue(self, quality: "Callable[[], Quality]") -> "Tissue":
        from histome.tissue import Tissue
        from histome.tissue.segment import tissue_map
        from histome.tissue.zones import zone_rule

        options = {"workers": self.workers, "progress": self._progress("tissue")}
        regions = self.files and self.files.regions
        found = tissue_map(self.slide, quality(), self._network("tissue"), regions=regions, **options)
        tissue = Tissue.of(*found, rule=zone_rule(self.config.tissue), workers=self.workers)
        self._check_broken(quality)
        self.run.tell(tissue=tissue.summary())
        return tissue

    @_limited
    def find_cells(
        self, tissue: "Callable[[], Tissue]", quality: "Callable[[], Quality]"
    ) -> "pa.Table | CellRows":
        from histome.cells import summarize_cells
        from histome.cells.find import look_for_nuclei, settle
        from histome.cells.table import cell_rows
        from histome.cells.windows import start_search

        search, config = start_search(self.slide, tissue().map, self._network("cells")), self.config.cells
        if quality().summary()["unlike_h_and_e"]:  # no type holds
            config = config.updated(abstain_below=1.0)
        if self.files and self.files.nuclei:
            cells = self._classify(search, tissue().zones, config)
        else:
            how = {"workers": self.workers, "progress": self._progress("cells")}
            seen = look_for_nuclei(search, kept=self.run.checkpoint("cells", NUCLEI), **how)
            search = search.let_go()
            cells = cell_rows(settle(seen, search), search, tissue().zones, config, workers=self.workers)
        self.run.tell(cells=summarize_cells(cells))
        self._check_broken(quality)
        return cells

    def _classify(self, search: "CellSearch", zones: "ClassMap", config: CellsConfig) -> "pa.Table":
        """Classify and measure the nuclei of a file."""
        from histome.cells.classify import classify_cells

        assert self.files is not None
        assert self.files.nuclei is not None
        given, kept = self.files.nuclei(), self.run.checkpoint("cells", NUCLEI_READ)
        options = {"workers": self.workers, "progress": self._progress("cells"), "kept": kept}
        cells = classify_cells(search, zones, given, config, **options)
        self.run.tell(nuclei={**self.files.nuclei_about, "count": len(given), "measured": len(cells)})
        return cells

    @_limited
    def measure(self, tissue: "Tissue", cells: "FiledTable", quality: "Quality") -> "pa.Table":
        from histome.metrics import count_metrics, measure

        cells, tissue = self._corrected(cells, tissue)
        metrics = measure(tissue, cells, quality, self.config.metrics, workers=self.workers)
        self.run.tell(metrics=count_metrics(metrics)._asdict())
        return metrics

    @_limited
    def measure_parts(self, tissue: "Tissue", cells: "FiledTable") -> Parts:
        from histome.metrics.subregions import measure_subregions
        from histome.tissue.zones import zone_rule

        assert self.files is not None
        assert self.files.regions is not None
        cells, tissue = self._corrected(cells, tissue)
        rule, polygons = zone_rule(self.config.tissue), self.files.regions.shapes
        options = {"config": self.config.metrics, "rule": rule, "workers": self.workers}
        metrics = measure_subregions(tissue.map, cells, "region", polygons=polygons, **options)
        return Parts(metrics, self.files.outlines(self.slide))

    @_limited
    def narrate(self, metrics: "pa.Table") -> dict[str, Any]:
        from histome.metrics import MetricTable
        from histome.narrative import Facts, write

        facts = Facts.of_slide(MetricTable(metrics), self.cards, self.config.slide.stated)
        return write(facts, self.config.narrative).to_json()

    @_limited
    def render_report(self) -> str:
        from histome.report import render_report

        return render_report(load_profile(self.run.path), self.slide, self.config.report)

    @property
    def numbers(self) -> "Files[pa.Table]":
        """How the metrics are kept: with the corrections that they were taken with."""
        return with_edits(METRICS, find_edits(self.config.metrics.edits, self.slide.id))

    def _corrected(self, cells: "FiledTable", tissue: "Tissue") -> "tuple[TableLike, Tissue]":
        """Return cells and tissue as people corrected them; as they are where nobody did."""
        if file := find_edits(self.config.metrics.edits, self.slide.id):
            from histome.store.edits import apply_file

            cells, tissue, told = apply_file(cells, tissue, file, self.run.path, workers=self.workers)
            self.run.tell(edits=told)
        return cells, tissue

    def _check_broken(
        self, quality: "Callable[[], Quality]", unseen: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Tell what share of the tissue lies in broken tiles; raise BrokenTilesError where it is too much.

        `unseen` are those that were broken when the quality map was made, by default as its stage says.
        """
        if not (boxes := self.run.broken_tiles()):
            return
        from histome.qc.broken import box_mask, broken_share
        from histome.slide.broken import broken_tiles_line

        found, most = quality(), self.config.slide.broken_tiles_at_most
        masks = [
            box_mask(some, found.mpp, shape=found.map.array.shape[:2], map_mpp=found.map.mpp)
            for some in (boxes, self.run.broken_tiles("qc") if unseen is None else unseen)
        ]
        share = broken_share(found.map, *masks)
        self.run.tell(broken_share=round(share, 6))
        if share > most:
            line = broken_tiles_line(len(boxes), share)
            raise BrokenTilesError(
                f"{self.slide.path.name}: {line}; at most {100 * most:.2g} % may be; copy or export it "
                "again, or allow more ([slide] broken_tiles_at_most)"
            )

    def _network(self, stage: str) -> "Predictor":
        from histome.models.registry import describe_model, open_model

        network = open_model(self.cards[stage], self.config.runtime, threads=self.workers)
        self.run.tell(**{f"{stage}_network": describe_model(network)})
        return network

    def _progress(self, stage: str) -> Callable[[float, float], object]:
        return lambda done, total: self.progress(stage, done, total)


def _settings(config: Config | None, allow_estimated_mpp: bool) -> Config:
    """Return the settings; what the call allows is allowed."""
    config = config or Config()
    config.roi.check()
    slide = config.slide.updated(allow_estimated_mpp=True)
    return config.updated(slide=slide) if allow_estimated_mpp else config


def _wanted(stages: Sequence[str]) -> tuple[str, ...]:
    """Return the stages named and those whose values they read."""
    unknown = [name for name in stages if name not in STAGES]
    if unknown or not stages:
        raise UsageError(f"stages {', '.join(unknown) or 'none'}: choose from {', '.join(STAGES)}")
    return with_ancestors(stages, _GRAPH)


def _workers(workers: int | None) -> int:
    """Return the number of threads."""
    count = available_cpus() if workers is None else workers
    if count < 1:
        raise UsageError(f"{count} workers: give 1 or more")
    return count


def _cards(config: Config) -> "dict[str, Card]":
    from histome.models.registry import find_model
    from histome.models.tasks import CELL_TASKS, QC_TASKS, TISSUE_TASKS

    own = {} if config.qc.model is None else {"qc": find_model(config.qc.model, task=QC_TASKS)}
    return own | {
        "tissue": find_model(config.tissue.model, task=TISSUE_TASKS),
        "cells": find_model(config.cells.model, task=CELL_TASKS),
    }


def _files(config: Config, slide: "Slide") -> "RunFiles | None":
    """Return the files that settings name beside the slide; None where they name none."""
    if config.roi.file is None and config.cells.nuclei is None:
        return None
    from histome.interop.given import RunFiles

    return RunFiles.of(config, slide)


def _plan(config: Config, cards: "Mapping[str, Card]", files: "RunFiles | None", slide: str) -> list[Stage]:
    """Return the stages with all that decides their results."""
    from histome.models.registry import arithmetic

    named = {"qc": {"model"}, "tissue": {"model"}, "cells": {"model", "nuclei"}, "metrics": {"edits"}}
    settings = config.model_dump(mode="json", exclude={**named, "report": {"reference"}})  # by what they name
    inputs: dict[str, dict[str, Any]] = {name: {"settings": settings.get(name, {})} for name in STAGES}
    read = ("allow_estimated_mpp", "broken_tiles_at_most")
    inputs["qc"]["slide"] = {name: settings["slide"][name] for name in read}
    if edits := find_edits(config.metrics.edits, slide):
        inputs["metrics"]["edits"] = hashlib.sha256(edits.read_bytes()).hexdigest()
    inputs["parts"] |= {"settings": {name: settings[name] for name in ("metrics", "tissue")}}
    inputs["narrative"]["stated"] = config.slide.stated
    inputs["report"]["warnings"] = settings["warnings"]
    if config.report.reference is not None:
        from histome.report.reference import reference_key

        inputs["report"]["reference"] = reference_key(config.report.reference)
    for name, card in cards.items():  # the card, not its name or path: it holds the weights' checksum
        inputs[name]["model"] = card.model_dump(mode="json")
        inputs[name]["arithmetic"] = arithmetic(card, config.runtime)
    for name, key in (files.keys if files else {}).items():
        chosen = {"include": config.roi.include, "exclude": config.roi.exclude} if name == "qc" else {}
        inputs[name] |= key | chosen
    return [stage._replace(inputs=inputs[stage.name]) for stage in _GRAPH]
