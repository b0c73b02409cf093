"""A card reads back what was written and refuses everything that a card is not."""

import subprocess
import sys

import pytest
from helpers.tiny_models import stardist_model

from histome.errors import ModelError
from histome.models.card import CARD_NAME, ZOO, Card, card_to_toml, load_card, write_card


@pytest.fixture
def folder(tmp_path):
    stardist_model(tmp_path / "nuclei-test")
    return tmp_path / "nuclei-test"


def test_a_card_round_trips(folder):
    card = load_card(folder)
    assert card == load_card(folder / CARD_NAME)
    assert card.weights_path == folder / "model.onnx"
    assert card.core_px == 48
    assert card.scores["f1"] == {"value": 0.75, "low": 0.7, "high": 0.8, "units": 10}
    assert card.training_data[0].license == "CC0-1.0"


def test_text_with_quotes_and_line_breaks_round_trips(folder):
    card = load_card(folder)
    odd = card.model_copy(
        update={"training": {"note": 'a "quote" \\ and\na line\x01', "a key": {"b.c": True}}}
    )
    write_card(odd, folder)
    assert load_card(folder).training == odd.training


def test_rows_of_a_free_table_round_trip(folder):
    rows = [{"set": "consep", "f1": 0.7, "interval": [0.6, 0.8]}, {"set": "tnbc", "f1": 0.8, "interval": []}]
    card = load_card(folder).model_copy(
        update={"scores": {"detection": rows, "mixed": [{"n": 1}], "none": {}}}
    )
    write_card(card, folder)
    assert load_card(folder).scores == card.scores


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("mpp = 0.5", 'mpp = "0.5"', "mpp"),
        ("mpp = 0.5", "mpp = -1.0", "mpp"),
        ("mpp = 0.5", "mpp = nan", "mpp"),
        ("mpp = 0.5", "mpp = 0.5\ncolor = 1", "color"),
        ("mpp = 0.5", "mpp = ", "TOML"),
        ("halo_px = 8", "halo_px = 7", "stride"),
        ("halo_px = 8", "halo_px = 32", "core"),
        ("window_px = 64", "window_px = 65", "stride"),
        ("cut_px = 0", "cut_px = 24", "cut_px 24"),
        ("cut_px = 0", "cut_px = 1", "cut_px 1"),
        ('weights = "model.onnx"', 'weights = "../model.onnx"', "weights"),
        ('task = "stardist"', 'task = "classifier"', "task"),
        ('"other"', '"fibroblast"', "twice"),
        ("prob = 0.5", "prob = 1.5", "thresholds.prob"),
        ('license = "CC0-1.0"', "day = 2026-01-01", "TOML"),
        (
            'name = "none"',
            'nme = "none"',
            r"unknown field training_data\.0\.nme; did you mean .*\.0\.name\?$",
        ),
        ("[thresholds]", "[thresh0lds]", r"unknown field \[thresh0lds\]; did you mean \[thresholds\]\?$"),
        ("prob = 0.5", "prob = nan", "thresholds.prob: .*finite"),
        ("prob = 0.5", f"prob = {'[' * 5000}{']' * 5000}", "nested too deeply"),
        ("prob = 0.5", f"prob = {'1' * 5000}", "4300 digits"),
    ],
)
def test_a_wrong_card_is_refused_in_one_line(folder, old, new, word):
    path = folder / CARD_NAME
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=word) as caught:
        load_card(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_model_says_how_to_list_them(tmp_path):
    with pytest.raises(ModelError, match="histome models list"):
        load_card(tmp_path / "nothing")


def test_the_toml_text_names_every_field(folder):
    text = card_to_toml(load_card(folder))
    fields = Card.model_fields.keys() - {"limits", "training", "familiarity", "votes", "basins"}  # empty here
    assert all(name in text for name in fields)


def test_a_card_imports_no_runtime():
    code = "import sys, histome.models.card; print('openvino' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_shipped_cards_are_named_after_their_folders():
    for path in ZOO.glob(f"*/{CARD_NAME}"):
        card = load_card(path.parent.name)
        assert card.name == path.parent.name
        assert card.training_data, "a shipped card says what it learned from"
        assert card.scores, "a shipped card says how good it was"
