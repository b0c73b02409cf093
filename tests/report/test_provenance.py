"""Where the numbers come from, as run.json and the cards say it."""

from pathlib import Path

import pytest
from helpers import profiles

from histome.models.card import Card, write_card
from histome.report.provenance import count_broken_tiles, load_cards, provenance_page, slide_rows


def make_card(folder: Path, **changes: object) -> Card:
    fields = {
        "name": "small",
        "task": "stardist",
        "description": "nuclei of nothing",
        "classes": ["a"],
        "mpp": 0.5,
        "window_px": 64,
        "halo_px": 8,
        "sha256": "a" * 64,
        "training_data": [{"name": "fields", "license": "CC0"}],
        "scores": {
            "held_out": {
                "fields_b": {"nuclei": 12, "f1": {"value": 0.8, "low": 0.7, "high": 0.9, "units": 5}}
            }
        },
    }
    card = Card.model_validate({**fields, **changes})
    folder.mkdir(exist_ok=True)
    write_card(card, folder)
    return card


def make_run(folder: Path, sha256: str = "a" * 64) -> dict:
    entry = {"name": "small", "version": "1", "sha256": sha256, "license": "CC0"}
    return profiles.make_run(models=[entry], config={"cells": {"model": str(folder)}})


def test_a_card_is_used_when_its_weights_were() -> None:
    assert load_cards(profiles.make_run()) == {}


def test_a_card_of_other_weights_is_not_shown(tmp_path: Path) -> None:
    make_card(tmp_path)
    assert list(load_cards(make_run(tmp_path))) == ["small"]
    assert load_cards(make_run(tmp_path, "b" * 64)) == {}


def test_models_have_license_data_and_checksum(tmp_path: Path) -> None:
    make_card(tmp_path)
    run = make_run(tmp_path)
    (model,) = provenance_page(run, load_cards(run))["models"]
    rows = dict(model)
    assert rows["Model"] == "small (version 1)"
    assert rows["Learned from"] == "fields (CC0)"
    assert rows["sha256"] == "a" * 64
    assert rows["License"] == "Apache-2.0"


def test_scores_have_interval_and_n(tmp_path: Path) -> None:
    make_card(tmp_path)
    run = make_run(tmp_path)
    page = provenance_page(run, load_cards(run))
    assert page["scores"] == [("small, held out, fields b", "F1", "0.800", "0.700 to 0.900", "5")]


def test_stage_times_and_settings() -> None:
    page = provenance_page(profiles.make_run(), {})
    assert page["stages"] == [("qc", "1.25"), ("cells", "kept from an earlier run")]
    assert '"seed": 0' in page["settings"]
    assert ("Slide fingerprint", "f" * 16) in page["facts"]


def test_slide_facts_name_the_source_of_the_pixel_size(tmp_path: Path) -> None:
    with profiles.make_slide(tmp_path, side_px=100) as slide:
        facts = dict(slide_rows(slide, {}))
        assert facts["Pixel size"] == "0.5 µm"
        assert facts["Extent"] == "50.0 µm \N{MULTIPLICATION SIGN} 50.0 µm"
        assert facts["Damaged tiles"] == "none found"
        run = profiles.make_run(slide={"broken_tiles": {"count": 3}})
        assert dict(slide_rows(slide, run))["Damaged tiles"] == "3"
        assert count_broken_tiles(run) == 3


@pytest.mark.parametrize("run", [{}, {"models": [], "stages": {}, "config": {}}])
def test_an_empty_run_is_an_empty_page(run: dict) -> None:
    page = provenance_page(run, {})
    assert not any(page.values())
