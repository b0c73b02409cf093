"""One HTML file that holds a profile's report: no other file, no network, no clock."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import histome
from histome.config import ReportConfig
from histome.errors import OutputError
from histome.metrics.format import Metric, MetricTable
from histome.models.card import Card
from histome.models.label_support import class_labels, labels_of, weak_marks
from histome.render import palette
from histome.report import tables
from histome.report.caveats import Caveat, Evidence, find_caveats
from histome.report.narrative import narrative_page
from histome.report.phenotypes import phenotype_page
from histome.report.pictures import (
    JPEG_QUALITIES,
    FieldPicture,
    Overview,
    Seen,
    draw_field,
    draw_gallery,
    draw_overview,
    field_page,
    gallery_page,
    mark_on_overview,
    overview_page,
)
from histome.report.provenance import broken_tiles, extent, load_cards, provenance_page, slide_facts
from histome.report.views import CellArrays, choose_fields
from histome.slide.reader import Slide
from histome.store.profile import Profile

_STAINS = ("hematoxylin_od_mean", "hematoxylin_od_sd", "eosin_od_mean")


@dataclass(frozen=True)
class _Pictures:
    overview: Overview
    fields: list[FieldPicture]
    gallery: dict[str, np.ndarray]


def render_report(profile: Profile, slide: Slide, config: ReportConfig) -> str:
    """Return the report of a profile as one HTML document.

    The same profile, slide and settings give the same text: it holds no time but those of run.json. A part
    that the run did not make (tissue, cells, metrics) is left out and said so. Pictures are compressed harder
    until the document has at most `config.max_bytes`, or the last quality is reached.
    """
    seen = _see(profile, slide)
    pictures = _draw(seen, config)
    page = _words(profile, seen, config) | {"phenotypes": _phenotypes(seen, pictures.overview, config)}
    template = _templates().get_template("report.html.j2")
    text = ""
    for quality in JPEG_QUALITIES:
        text = template.render(page | _pictured(pictures, seen, quality))
        if len(text.encode()) <= config.max_bytes:
            break
    return text


def _see(profile: Profile, slide: Slide) -> Seen:
    table = _part(profile, "cells")
    cells = CellArrays.of(table) if table is not None else CellArrays.none()
    quality, tissue = _part(profile, "quality"), _part(profile, "tissue")
    return Seen(slide, quality and quality.map, tissue and tissue.map, table, cells)


def _part(profile: Profile, name: str) -> Any:
    """A part of the profile, None where the run did not make it."""
    try:
        return getattr(profile, name)
    except OutputError:
        return None


def _draw(seen: Seen, config: ReportConfig) -> _Pictures:
    choice, lot = (np.random.default_rng(seed) for seed in np.random.SeedSequence(config.seed).spawn(2))
    fields = choose_fields(
        seen.cells,
        tissue=seen.tissue,
        quality=seen.quality,
        extent_um=seen.slide.extent_um,
        side_um=config.field_um,
        rng=choice,
    )
    drawn = [draw_field(field, seen, config) for field in fields]
    return _Pictures(draw_overview(seen, config), drawn, draw_gallery(seen, lot))


def _phenotypes(seen: Seen, overview: Overview, config: ReportConfig) -> dict[str, Any] | None:
    if seen.table is None:
        return None
    return phenotype_page(seen.table, seen.tissue, config.tile_um, overview=overview)


def _pictured(pictures: _Pictures, seen: Seen, quality: int) -> dict[str, Any]:
    """What the template takes that depends on the quality of the pictures."""
    pages = []
    for number, picture in enumerate(pictures.fields):
        mark = mark_on_overview(picture.field, pictures.overview)
        pages.append(field_page(number, picture, seen, quality=quality) | {"mark": mark})
    return {
        "overview": overview_page(pictures.overview, quality),
        "fields": pages,
        "gallery": gallery_page(pictures.gallery, quality),
    }


def _words(profile: Profile, seen: Seen, config: ReportConfig) -> dict[str, Any]:
    """What the template takes that does not depend on the pictures."""
    table = _part(profile, "metrics")
    table = pa.table({name: [] for name in Metric._fields}) if table is None else table
    metrics, confident = MetricTable(table), tables.confident_table(table)
    run, cards = profile.run, load_cards(profile.run)
    return {
        "slide_id": seen.slide.id,
        "version": histome.__version__,
        "subtitle": _subtitle(seen.slide),
        "tiles": tables.headline(metrics),
        "narrative": narrative_page(_part(profile, "narrative")),
        "caveats": _caveats(metrics, seen, run=run, config=config),
        "facts": slide_facts(seen.slide, run),
        "cell_legend": palette.legend("cells"),
        "weak_classes": _weak_classes(seen.table, cards),
        **tables.composition(metrics),
        "density": tables.density_table(metrics),
        "has_confident": "value_confident" in table.column_names,
        "key_metrics": tables.key_table(metrics, confident),
        "families": tables.family_table(metrics),
        "counts": tables.counts_line(run),
        "confidence": tables.confidence_table(metrics, seen.cells),
        "morphology": tables.morphology_table(metrics),
        "provenance": provenance_page(run, cards),
        **_script(),
    }


def _weak_classes(cells: pa.Table | None, cards: Mapping[str, Card]) -> dict[str, str]:
    """Marks by label of the classes that the model was hardly taught: as the cells say, else their card."""
    marks = {} if cells is None else class_labels(cells.schema)
    for card in cards.values():
        marks = marks or labels_of(card)
    return {palette.CELL_LABELS[name]: mark for name, mark in weak_marks(marks).items()}


def _subtitle(slide: Slide) -> str:
    return f"H&E, {extent(slide)} at {slide.mpp.x:.4g} µm/px"


def _caveats(
    metrics: MetricTable, seen: Seen, *, run: Mapping[str, Any], config: ReportConfig
) -> list[Caveat]:
    evidence = Evidence(
        metrics,
        seen.cells,
        seen.slide.mpp,
        load_cards(run),
        stated=[str(line) for line in run.get("warnings", [])],
        broken_tiles=broken_tiles(seen.slide, run),
        stain=_stain(seen.table),
    )
    return find_caveats(evidence, config)


def _stain(cells: pa.Table | None) -> dict[str, float]:
    """Mean over the cells of each optical density that the table has."""
    if cells is None or len(cells) == 0:
        return {}
    names = [name for name in _STAINS if name in cells.column_names]
    return {name: float(np.nanmean(cells.column(name).to_numpy())) for name in names}


@cache
def _templates() -> Environment:
    loader = PackageLoader("histome.report", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined)


@cache
def _script() -> dict[str, str]:
    """The page's only script, and the hash by which alone the page's own policy lets it run."""
    environment = _templates()
    text, _, _ = environment.loader.get_source(environment, "script.js")  # type: ignore[union-attr]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return {"script": Markup(text), "script_hash": f"sha256-{digest}"}
