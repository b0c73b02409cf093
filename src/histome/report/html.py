"""One HTML file that holds a profile's report: no other file, no network, no clock."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import histome
from histome.caveats.enough import EnoughTable
from histome.cells.table import read_cells, read_outlines
from histome.config import ReportConfig
from histome.errors import MissingPartError
from histome.geotable import FiledTable, TableLike
from histome.metrics.format import MetricValue
from histome.models.card import Card
from histome.models.label_support import card_support, table_support, weakly_supported
from histome.models.tasks import CELL_TASKS
from histome.render import palette
from histome.report import tables, verdict
from histome.report.deep import deep_tiles
from histome.report.held_out import held_out_errors
from histome.report.narrative import narrative_page
from histome.report.patterns import infiltration, neighbors
from histome.report.phenotypes import phenotype_page
from histome.report.pictures import (
    JPEG_QUALITIES,
    Overview,
    ReportInputs,
    ViewPicture,
    draw_gallery,
    draw_overview,
    draw_view,
    gallery_page,
    mark_on_overview,
    overview_page,
    view_page,
)
from histome.report.provenance import extent, load_cards, provenance_page, slide_rows, specimen_line
from histome.report.reference import ReferenceRanges
from histome.report.views import CellArrays, choose_views
from histome.report.wording import GLOSSARY
from histome.slide.maps import ClassMap, ProbabilityMap
from histome.slide.reader import Slide
from histome.store.profile import Profile

# What pages say and draw of cells, but for the outlines of a few: the other columns are not read.
_READ = ("x_um", "y_um", "class", "confidence", "abstained", "area_um2")


@dataclass(frozen=True)
class _Drawn:
    """The pictures as pixels, before they are compressed."""

    overview: Overview
    views: list[ViewPicture]
    gallery: dict[str, np.ndarray]


def render_report(profile: Profile, slide: Slide, config: ReportConfig) -> str:
    """Return the report of a profile as one HTML document.

    The same profile, slide and settings give the same text: it holds no time but those of run.json. A part
    that the run did not make (tissue, cells, metrics) is left out and said so. Pictures are compressed harder
    until the document has at most `config.max_bytes`, or the last quality is reached; what is left of it
    finer pictures of the whole slide take up, for zooming in.
    """
    with _cells_file(profile) as file:
        inputs = _inputs(profile, slide, file)
        drawn = _draw(inputs, config)
    page = _texts(profile, inputs, config) | {"phenotypes": _phenotypes(inputs, drawn.overview, config)}
    template = _templates().get_template("report.html.j2")
    text, pictures = "", {}
    for quality in JPEG_QUALITIES:
        pictures = _pictures(drawn, inputs, config, quality)
        text = template.render(page | pictures)
        if len(text.encode()) <= config.max_bytes:
            break
    pictures["deep"] = deep_tiles(slide, drawn.overview.pixels, config.max_bytes - len(text.encode()))
    return template.render(page | pictures) if pictures["deep"] else text


@contextmanager
def _cells_file(profile: Profile) -> Iterator[Path | None]:
    """The file of cells, for a while; None where the run did not make it."""
    with ExitStack() as stack:
        file = None
        with suppress(MissingPartError):
            file = stack.enter_context(profile.cells_file())
        yield file


def _inputs(profile: Profile, slide: Slide, file: Path | None) -> ReportInputs:
    table, kept = None, np.empty(0, np.int64)
    if file is not None:
        there = pq.read_schema(file).names
        every = np.ones(pq.read_metadata(file).num_rows, bool)
        counted = read_cells(file, ["counted"])["counted"].to_numpy() if "counted" in there else every
        kept = np.flatnonzero(counted)
        table = FiledTable(
            read_cells(file, [name]).filter(pa.array(counted)) for name in _READ if name in there
        )
    quality, (tissue, probabilities) = _part(profile, "quality"), _tissue(profile)
    return ReportInputs(
        slide,
        quality=quality and quality.map,
        tissue=tissue,
        probabilities=probabilities,
        table=table,
        cells=CellArrays.none() if table is None else CellArrays.of(table),
        outlines=lambda rows: np.empty(0, object) if file is None else read_outlines(file, kept[rows]),
        run=profile.run,
        cards=load_cards(profile.run),
    )


def _tissue(profile: Profile) -> tuple[ClassMap | None, ProbabilityMap | None]:
    try:
        return profile.tissue_maps()
    except MissingPartError:
        return None, None


def _part(profile: Profile, name: str) -> Any:
    """A part of the profile, None where the run did not make it; raises OutputError where it is damaged."""
    try:
        return getattr(profile, name)
    except MissingPartError:
        return None


def _draw(inputs: ReportInputs, config: ReportConfig) -> _Drawn:
    choice, lot = (np.random.default_rng(seed) for seed in np.random.SeedSequence(config.seed).spawn(2))
    views = choose_views(
        inputs.cells,
        tissue=inputs.tissue,
        quality=inputs.quality,
        extent_um=inputs.slide.extent_um,
        side_um=config.field_um,
        rng=choice,
    )
    drawn = [draw_view(view, inputs, config) for view in views]
    return _Drawn(draw_overview(inputs, config), drawn, draw_gallery(inputs, lot))


def _phenotypes(inputs: ReportInputs, overview: Overview, config: ReportConfig) -> dict[str, Any] | None:
    if inputs.table is None:
        return None
    return phenotype_page(inputs.table, inputs.tissue, config.tile_um, overview=overview)


def _pictures(drawn: _Drawn, inputs: ReportInputs, config: ReportConfig, quality: int) -> dict[str, Any]:
    """What the template takes that depends on the quality of the pictures."""
    pages = []
    for number, picture in enumerate(drawn.views):
        mark = mark_on_overview(picture.view, drawn.overview)
        pages.append(view_page(number, picture, inputs, quality=quality) | {"mark": mark})
    return {
        "overview": overview_page(drawn.overview, quality, config.first_layer),
        "fields": pages,
        "gallery": gallery_page(drawn.gallery, quality),
        "deep": [],
    }


def _texts(profile: Profile, inputs: ReportInputs, config: ReportConfig) -> dict[str, Any]:
    """What the template takes that does not depend on the pictures."""
    table = _part(profile, "metrics")
    table = pa.table({name: [] for name in MetricValue._fields}) if table is None else table
    metrics, confident = EnoughTable(table), tables.confident_table(table)
    stated = inputs.run.get("config", {}).get("slide", {})
    ranges = ReferenceRanges.read(config.reference, stated.get("organ")) if config.reference else None
    return {
        "slide_id": inputs.slide.id,
        "version": histome.__version__,
        "subtitle": _subtitle(inputs),
        "warnings": verdict.told_apart(profile.warnings),
        "doubts": verdict.doubts(profile.warnings),
        "measured": verdict.measured(metrics),
        "matter": verdict.numbers_that_matter(metrics, profile.warnings),
        "tiles": tables.headline(metrics, profile.warnings),
        "narrative": narrative_page(_part(profile, "narrative")),
        "errors": held_out_errors(inputs.cards.values()),
        "infiltration": infiltration(metrics),
        "neighbors": neighbors(metrics),
        "glossary": GLOSSARY,
        "facts": slide_rows(inputs.slide, inputs.run),
        "cell_legend": palette.legend("cells"),
        "weak_classes": _weak_classes(inputs.table, inputs.cards),
        **tables.composition(metrics),
        "density": tables.density_table(metrics),
        "has_confident": "value_confident" in table.column_names,
        "key_metrics": tables.key_table(metrics, confident, ranges),
        "reference": ranges.words if ranges else "",
        "families": tables.family_table(metrics),
        "counts": tables.counts_line(inputs.run),
        "confidence": tables.confidence_table(metrics, inputs.cells),
        "morphology": tables.morphology_table(metrics),
        "provenance": provenance_page(inputs.run, inputs.cards),
        **_script(),
    }


def _weak_classes(cells: TableLike | None, cards: Mapping[str, Card]) -> dict[str, str]:
    """Classes that the model was hardly taught, by label, and how: as the cells say, else their card."""
    found = {} if cells is None else table_support(cells.schema)
    for card in cards.values():
        if card.task in CELL_TASKS:  # a tissue model has classes of its own
            found = found or card_support(card)
    return {palette.CELL_LABELS[name]: str(support) for name, support in weakly_supported(found).items()}


def _subtitle(inputs: ReportInputs) -> str:
    slide = inputs.slide
    size = f"{extent(slide)} at {slide.mpp.x:.4g} µm/px"
    return f"Measured as H&E, {size}; {specimen_line(inputs.run)}"


@cache
def _templates() -> Environment:
    loader = PackageLoader("histome.report", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_visible)


# Control characters, and those that turn the direction of the text around them.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _visible(value: Any) -> Any:
    """What the page shows of a value: characters that are not seen, but do something, become a sign."""
    if type(value) is str and _UNSEEN.search(value):
        return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


@cache
def _script() -> dict[str, str]:
    """The page's only script, and the hash by which alone the page's own policy lets it run."""
    environment = _templates()
    text, _, _ = environment.loader.get_source(environment, "script.js")  # type: ignore[union-attr]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return {"script": Markup(text), "script_hash": f"sha256-{digest}"}
