"""The report says nothing that the numbers do not, shows every part that is there, and is safe to open."""

import base64
import hashlib
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers import profiles
from helpers.page import CONFIG, HOSTILE, Page
from PIL import Image

from histome.classes import TISSUE_CLASSES
from histome.colors import rgb
from histome.errors import OutputError
from histome.metrics.format import MetricTable
from histome.models.card import load_card
from histome.models.label_support import CLASS_LABELS, card_support, weakly_supported
from histome.render.scale import STOPS
from histome.report import render_report
from histome.report.views import CellArrays, View, nuclei_near
from histome.slide import ProbabilityMap, Slide


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    return profiles.make_slide(tmp_path_factory.mktemp("slide"))


@pytest.fixture(scope="module")
def whole(slide: Slide) -> str:
    return render(slide)


def render(slide: Slide, **parts: object) -> str:
    return render_report(profiles.make_profile(**parts), slide, CONFIG)


def made_warning(severity: str, text: str) -> dict[str, object]:
    return {"code": "MADE", "severity": severity, "title": text, "text": f"{text} here", "values": {}}


def test_alarms_stand_over_all_else_and_every_warning_has_its_code(slide: Slide) -> None:
    told = [made_warning("alarm", "Wrong stain"), made_warning("caution", "Low"), made_warning("note", "Few")]
    text = render(slide, run=profiles.make_run(warnings=told))
    page = Page(text)
    assert [attrs["class"] for attrs in page.all("li") if attrs.get("role") == "alert"] == ["alarm"]
    assert (
        text.index('id="slide-picture"')
        < text.index("Alarm: Wrong stain")
        < text.index("Caution: Low")
        < text.index("Note: Few")
        < text.index('class="tile"')
    )
    assert page.words().count("MADE") == 3


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({}, "organ not stated"),
        ({"organ": "skin", "specimen": "biopsy"}, "skin, biopsy as stated"),
        ({"site": "metastasis"}, "metastasis as stated, organ not stated"),
    ],
)
def test_the_head_says_what_was_stated(slide: Slide, stated: dict[str, str], words: str) -> None:
    page = Page(render(slide, run=profiles.make_run(config={"slide": stated})))
    assert f"um/px; {words}".replace("um", "µm") in page.words()


def test_every_number_is_a_metric_or_comes_from_the_cells(whole: str) -> None:
    metrics, cells = MetricTable(profiles.make_metrics()), profiles.make_cells()
    shown = Page(whole).all("data")
    named = [number for number in shown if number["data-source"] != "cells"]
    assert len(named) > 150
    assert len(shown) > len(named)
    for number in named:
        assert float(number["value"] or "") == metrics[number["data-source"] or ""].value
    counts = [float(n["value"] or "") for n in shown if n["data-source"] == "cells"]
    assert float(len(cells)) in counts
    assert float(np.count_nonzero(cells["abstained"])) in counts


def test_certainty_comes_from_its_metrics_where_they_are(slide: Slide) -> None:
    metrics = profiles.make_metrics(families=(*profiles.FAMILIES, "certainty"))
    sources = {n["data-source"] for n in Page(render(slide, metrics=metrics)).all("data")}
    assert {"CONFIDENCE_MEAN_ALL", "ABSTAINED_COUNT_MACROPHAGE", "CONFIDENCE_P10_OTHER"} <= sources


def test_shown_text_is_the_value_rounded(whole: str) -> None:
    numbers = re.findall(r'<data data-source="(\w+)" value="([^"]+)">([^<]+)</data>', whole)
    assert len(numbers) > 150
    for source, value, text in numbers:
        plain = text.replace("\N{NARROW NO-BREAK SPACE}", "").replace("\N{MINUS SIGN}", "-")
        if "\N{MULTIPLICATION SIGN}" in plain:
            continue
        scale = [1.0, 1e-6, 1e6]
        assert any(
            math.isclose(float(plain), float(value) * k, rel_tol=0.006, abs_tol=0.5 * (k == 1)) for k in scale
        ), source


def test_the_same_profile_gives_the_same_bytes(slide: Slide, whole: str) -> None:
    assert render(slide) == whole


def test_no_time_but_those_of_the_run(whole: str) -> None:
    years = re.findall(r"20\d\d-\d\d-\d\d", re.sub(r"data:image/[^\"]+", "", whole))
    assert years == ["2026-01-02"]


def test_loads_nothing_from_outside(whole: str) -> None:
    page = Page(whole)
    assert not page.all("link")
    assert not page.all("iframe")
    for _, attrs in page.tags:
        for name in ("src", "href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/"))
    assert "@import" not in whole
    assert "url(" not in whole.replace("url(#hatch)", "")
    assert [script for script in page.all("script") if script] == []


def test_the_policy_of_the_page_allows_its_script_only(whole: str) -> None:
    script = re.findall(r"<script>(.*?)</script>", whole, re.S)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert f"script-src 'sha256-{digest}'" in whole
    assert "default-src 'none'" in whole


def test_says_research_use_only_and_has_its_parts(whole: str) -> None:
    page = Page(whole)
    words = page.words()
    assert "Research use only." in words
    sections = "overview verdict fields composition patterns metrics confidence nuclei phenotypes slide"
    sections += " glossary provenance"
    assert [attrs["id"] for attrs in page.all("section")] == sections.split()
    for label in (
        "1\N{NARROW NO-BREAK SPACE}200 \N{MULTIPLICATION SIGN} 1\N{NARROW NO-BREAK SPACE}200 px",
        "given by the user",
        "0.360 mm²",
    ):
        assert label in words
    assert "0" * 64 in words
    assert "2026-01-02T03:04:05+00:00" in words
    assert "kept from an earlier run" in words


def drawn_alone(attrs: dict[str, str | None]) -> bool:
    """Whether no element around a picture hides it from who cannot see it; the copies for print are."""
    return attrs.get("id") == "slide-picture" or "picture" not in (attrs.get("class") or "")


def test_every_picture_has_a_text_and_a_scale_bar(whole: str) -> None:
    page = Page(whole)
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg") if drawn_alone(a))
    assert all(a["alt"] for a in page.all("img"))
    fields = whole.count('class="field"')
    assert 4 <= fields <= 6
    assert whole.count('class="scale"') == fields + 2


def test_every_nucleus_of_a_field_is_outlined_once(whole: str) -> None:
    cells = CellArrays.of(profiles.make_cells())
    for figure in re.findall(r'<figure class="field">.*?</figure>', whole, re.S):
        n = float(re.findall(r'value="([\d.]+)">[^<]+</data> nuclei', figure)[0])
        x_px, y_px = map(int, re.findall(r"Corner at (\d+), (\d+) px", figure)[0])
        view = View("", "", x_px * profiles.MPP, y_px * profiles.MPP, 150.0, 150.0)
        assert n == view.holds(cells.x_um, cells.y_um).sum() > 0
        assert figure.count("<title>") == len(nuclei_near(view, cells))


def test_nuclei_that_are_not_counted_are_not_drawn(slide: Slide, whole: str) -> None:
    cells = profiles.make_cells()
    counted = pa.array(np.arange(len(cells)) % 3 > 0)
    page = render(slide, cells=cells.append_column("counted", counted))
    assert page == render(slide, cells=cells.filter(counted)) != whole
    assert "not counted (<code>CELL_N_NOT_COUNTED</code>) and not drawn" in page


def test_three_counts_when_the_run_has_them(slide: Slide) -> None:
    run = profiles.make_run(metrics={"declared": 314, "non_redundant": 201, "finite": 187})
    words = Page(render(slide, run=run)).words()
    assert (
        "This profile declares 314 metrics. 201 of them do not follow from others, and 187 have a value"
        in words
    )


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "")
    run = profiles.make_run(
        warnings=[made_warning("alarm", HOSTILE), made_warning("note", HOSTILE)],
        code=HOSTILE,
        versions={HOSTILE: HOSTILE},
        stages={HOSTILE: {"seconds": 1.0}},
        config={"report": {HOSTILE: HOSTILE}},
        models=[{"name": HOSTILE, "sha256": HOSTILE, "license": HOSTILE}],
    )
    metrics = profiles.null_metrics()
    reasons = pa.array([HOSTILE] * len(metrics))
    metrics = metrics.set_column(metrics.column_names.index("reason"), "reason", reasons)
    text = render_report(
        profiles.make_profile(run=run, metrics=metrics), profiles.make_slide(tmp_path, name, 600), CONFIG
    )
    page = Page(text)
    assert text.count("<script") == 1
    assert not [attrs for _, attrs in page.tags if "onerror" in attrs]
    assert page.words().count("onerror=alert(1)") > 10


def test_no_cells(slide: Slide) -> None:
    profile = profiles.make_profile(cells=profiles.make_cells(0), metrics=profiles.null_metrics())
    words = Page(render_report(profile, slide, CONFIG)).words()
    assert "nothing to be confident about" in words
    assert "there is no &lt;" not in words
    assert "there is no <all-cells>" in words


def test_null_metrics_show_their_reason_and_no_number(slide: Slide) -> None:
    text = render(slide, metrics=profiles.null_metrics())
    assert {a["data-source"] for a in Page(text).all("data")} == {"cells"}
    assert "No value: there is no <tissue-areas>." in Page(text).words()


@pytest.mark.parametrize("missing", ["tissue", "quality", "cells", "metrics"])
def test_a_missing_part_is_left_out(slide: Slide, missing: str) -> None:
    text = render(slide, **{missing: None})
    layers = {"tissue": "show-tissue", "quality": "show-qc", "cells": "show-cells"}
    for name, control in layers.items():
        assert (f'id="{control}"' in text) == (name != missing)
    if missing == "metrics":
        assert "not measured in this profile" in Page(text).words()


def test_nothing_but_the_slide(slide: Slide) -> None:
    parts = dict.fromkeys(("tissue", "quality", "cells", "metrics"))
    assert "No field was drawn" in Page(render(slide, **parts)).words()


def test_size_is_bounded(slide: Slide, whole: str) -> None:
    small = render_report(profiles.make_profile(), slide, CONFIG.model_copy(update={"max_bytes": 420_000}))
    assert len(small.encode()) <= 420_000 < len(whole.encode()) <= 8_000_000


def test_numbers_of_hardly_taught_classes_are_marked(slide: Slide, whole: str) -> None:
    labels = {"plasma_cell": "indirect", "macrophage": "direct, n = 55", "lymphocyte": "direct, n = 1464"}
    cells = profiles.make_cells().replace_schema_metadata({CLASS_LABELS: json.dumps(labels).encode()})
    metrics = profiles.make_metrics()
    weak = [
        "plasma_cell: indirect" if "PLASMA_CELL" in name else None for name in metrics["name"].to_pylist()
    ]
    metrics = metrics.append_column("evidence", pa.array(weak, pa.string()))
    text = render(slide, cells=cells, metrics=metrics)
    marked = re.findall(
        r'<data data-source="(\w+)"[^>]*>[^<]*</data><sup class="weak" title="([^"]+)">', text
    )
    assert {mark for _, mark in marked} == {"plasma_cell: indirect"}
    sources = {source for source, _ in marked}
    assert {"CELL_COUNT_PLASMA_CELL", "CELL_DENSITY_PLASMA_CELL_STROMA"} <= sources
    assert all("PLASMA_CELL" in source for source in sources)
    beside = re.findall(
        r"([A-Z][a-z ]+cell|Macrophage)(?:&nbsp;<data[^>]*>[^<]*</data>)? <span class=\"taught\"", text
    )
    assert set(beside) == {"Plasma cell", "Macrophage"}
    assert 'class="taught"' not in whole


def test_a_model_that_says_nothing_of_its_labels_is_not_taken_for_that_of_tissue(slide: Slide) -> None:
    cards = [load_card("tissue"), load_card("nuclei")]
    assert weakly_supported(card_support(cards[0]))  # it was hardly taught a tissue
    chosen = {"tissue": {"model": "tissue"}, "cells": {"model": "someone's, gone"}}
    models = [{"name": card.name, "version": "1", "sha256": card.sha256} for card in cards[:1]]
    config = profiles.make_run()["config"] | chosen
    text = render(slide, run=profiles.make_run(config=config, models=models))
    assert 'class="taught"' not in text
    config["cells"] = {"model": "nuclei"}
    models.append({"name": "nuclei", "version": "1", "sha256": cards[1].sha256})
    assert 'class="taught"' in render(slide, run=profiles.make_run(config=config, models=models))


def test_a_damaged_part_is_said_and_not_left_out(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: object) -> None:
        raise OutputError("cells: stage.json is not what was written; profile the slide again")

    made = profiles.make_profile()
    monkeypatch.setattr(type(made), "cells", property(damaged), raising=False)
    with pytest.raises(OutputError, match="profile the slide again"):
        render_report(made, slide, CONFIG)


def test_the_probability_of_carcinoma_is_a_layer_that_is_off(slide: Slide, whole: str) -> None:
    made = profiles.make_profile()
    tissue = made.tissue
    plane = np.zeros(tissue.map.array.shape, np.uint8)
    plane[:, plane.shape[1] // 2 :] = 255
    probabilities = ProbabilityMap.empty(plane.shape, tissue.map.mpp, TISSUE_CLASSES)
    probabilities.array[TISSUE_CLASSES.index("CARCINOMA")] = plane
    text = render(slide, tissue=replace(tissue, probabilities=probabilities))
    assert 'id="show-carcinoma">P(carcinoma)' in text
    assert 'id="show-carcinoma"' not in whole  # of a map that came from no probabilities
    found = re.search(r'id="im-carcinoma"[^>]*href="data:image/png;base64,([^"]*)"', text)
    assert found is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGBA"))
    left, right = np.split(pixels, 2, axis=1)
    assert 0.05 < (right[..., 3] == 255).mean() <= 1
    assert not left[..., 3].any()  # what is unlikely leaves the slide its colors
    assert {tuple(color) for color in right[right[..., 3] > 0][:, :3].tolist()} == {rgb(STOPS[-1])}
