"""Where the numbers come from: slide facts, models, stages and settings out of run.json, in words."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from histome.errors import ModelError
from histome.metrics.format import TIMES, format_count, format_number
from histome.models.card import Card
from histome.models.describe import ScoreRow, plain_name, score_rows
from histome.models.registry import find_model
from histome.report.wording import in_signs
from histome.slide.reader import Slide

_STATED = {"organ": "Organ, as stated", "site": "Tumor, as stated", "specimen": "Specimen, as stated"}
Row = tuple[str, str]
_PROPERTIES = {"vendor": "Vendor", "scanner": "Scanner", "maker": "Maker", "objective-power": "Objective"}


def slide_rows(slide: Slide, run: Mapping[str, Any]) -> list[Row]:
    """Return what is known of the slide; only properties on the reader's allow-list are there to be shown."""
    width, height = slide.size_px
    width_um, height_um = slide.extent_um
    facts = [
        ("Name", slide.id),
        ("Format", slide.reader.format),
        ("Size", f"{format_count(width)}{TIMES}{format_count(height)} px"),
        ("Extent", extent(slide)),
        ("Area scanned", f"{format_number(width_um * height_um / 1e6)} mm²"),
        ("Pixel size", _pixel_size(slide)),
        ("Source of the pixel size", slide.mpp.source + (" (estimated)" if slide.mpp.estimated else "")),
    ]
    facts += [(label, slide.reader.properties[key]) for key, label in _PROPERTIES.items() if _has(slide, key)]
    stated = stated_of(run)
    facts += [(label, stated[key].capitalize()) for key, label in _STATED.items() if key in stated]
    broken = count_broken_tiles(run)
    return [*facts, ("Damaged tiles", format_count(broken) if broken else "none found")]


def count_broken_tiles(run: Mapping[str, Any]) -> int:
    """Return how many damaged tiles the run met."""
    return int(run.get("slide", {}).get("broken_tiles", {}).get("count", 0))


def stated_of(run: Mapping[str, Any]) -> dict[str, str]:
    """Return what was stated of the specimen, as `SlideConfig.stated` does."""
    settings = run.get("config", {}).get("slide", {})
    return {name: settings[name] for name in _STATED if settings.get(name)}


def specimen_line(run: Mapping[str, Any]) -> str:
    """Return what was stated of the specimen in a few words; that its organ was not, too."""
    stated = stated_of(run)
    told = f"{', '.join(stated.values())} as stated" if stated else ""
    return told if "organ" in stated else ", ".join(filter(None, (told, "organ not stated")))


def _has(slide: Slide, key: str) -> bool:
    return bool(slide.reader.properties.get(key))


def extent(slide: Slide) -> str:
    """Return width and height of the slide in mm, or in um where it is small."""
    return TIMES.join(_length(side) for side in slide.extent_um)


def _length(um: float) -> str:
    return f"{format_number(um / 1000)} mm" if um >= 1000 else f"{format_number(um)} µm"


def _pixel_size(slide: Slide) -> str:
    x, y = slide.mpp.x, slide.mpp.y
    return f"{x:.4g} µm" if abs(x - y) < 1e-4 * x else f"{x:.4g}{TIMES}{y:.4g} µm"


def load_cards(run: Mapping[str, Any]) -> dict[str, Card]:
    """Return the cards of the run's models by name: those still here with the checksum that was recorded."""
    settings = run.get("config", {})
    chosen = [settings.get(stage, {}).get("model") for stage in ("qc", "tissue", "cells")]
    used = {entry.get("sha256") for entry in _models(run)}
    cards = {}
    for model in filter(None, chosen):
        try:
            card = find_model(model)
        except ModelError:  # a model that was given by its path, and is gone
            continue
        if card.sha256 in used:
            cards[card.name] = card
    return cards


def _models(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(run.get("models", []))


def provenance_page(run: Mapping[str, Any], cards: Mapping[str, Card]) -> dict[str, Any]:
    """Return the provenance as the template takes it."""
    slide = run.get("slide", {})
    facts = [
        ("Started", run.get("started")),
        ("Code", run.get("code")),
        ("Slide fingerprint", slide.get("fingerprint")),
    ]
    facts += [(name, _flat(value)) for name, value in run.get("versions", {}).items()]
    settings = run.get("config")
    return {
        "facts": [(label, str(text)) for label, text in facts if text],
        "models": [_model_rows(entry, cards.get(str(entry.get("name")))) for entry in _models(run)],
        "stages": list(_stage_times(run.get("stages", {}))),
        "settings": _pretty(settings) if settings else "",
        "scores": [
            _score_cells(row, card.name) for card in cards.values() for row in score_rows(card.scores)
        ],
    }


def _stage_times(stages: Mapping[str, Any]) -> Iterable[Row]:
    for name, stage in stages.items():
        seconds = stage.get("seconds") if isinstance(stage, Mapping) else stage
        yield name, "kept from an earlier run" if seconds is None else format_number(float(seconds))


def _model_rows(entry: Mapping[str, Any], card: Card | None) -> list[Row]:
    rows = [("Model", f"{entry.get('name', '')} (version {entry.get('version', '?')})")]
    if card is not None:
        data = "; ".join(f"{source.name} ({source.license})" for source in card.training_data)
        rows[0] = ("Model", f"{card.name} (version {card.version})")
        rows += [("What it does", in_signs(card.description))]
        rows += [("License", card.license), ("Learned from", data)]
        rows += [("Works at", f"{card.mpp:g} µm/px")]
    else:
        rows += [("License", _flat(entry.get("license", "")))]
    rows += [("sha256", _flat(entry.get("sha256", "")))]
    return [(label, text) for label, text in rows if text]


def _score_cells(row: ScoreRow, model: str) -> tuple[str, ...]:
    """Place, figure, value, interval and n as the template takes them."""
    place = ", ".join([model, *map(plain_name, row.place)])
    value, interval = format_number(row.value), row.interval(format_number)
    return place, plain_name(row.figure), value, interval, row.n


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def _flat(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
