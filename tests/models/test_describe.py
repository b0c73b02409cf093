"""What people read of a model card."""

from helpers.tiny_models import dark_detector

from histome.models.card import load_card
from histome.models.describe import describe_card, plain_name, score_rows
from histome.models.registry import list_models

TABLE = {
    "note": "made up",
    "held_out": {
        "consep": {
            "fields": 5,
            "nuclei": 3839,
            "f_c_epithelial": {"value": 0.5677, "low": 0.4265, "high": 0.6251, "units": 5},
        },
        "glas_dice": {"value": 0.9, "low": 0.85, "high": 0.95, "units": 20},
        "without_interval": {"value": 0.5},
    },
}


def test_every_figure_with_an_interval_is_a_row():
    first, second = score_rows(TABLE)
    assert first == (("held_out", "consep"), "f_c_epithelial", 0.5677, 0.4265, 0.6251, "5")
    assert second == (("held_out",), "glas_dice", 0.9, 0.85, 0.95, "20")


def test_one_unit_alone_has_no_interval(tmp_path):
    one = {"held_out": {"dice": {"value": 0.9, "low": 0.9, "high": 0.9, "units": 1}}}
    text = describe_card(dark_detector(tmp_path / "dark").model_copy(update={"scores": one}))
    assert "none: one alone  1" in text
    assert "0.900 to 0.900" not in text


def test_a_card_reads_as_tables(tmp_path):
    training = {
        "labels": {"plasma_cell": "indirect", "macrophage": "direct, n = 55"},
        "held_out_sources": {"consep": ["train_3", "train_6"]},
    }
    changes = {"scores": TABLE, "training": training, "limits": ("never saw: brain",)}
    text = describe_card(dark_detector(tmp_path / "dark").model_copy(update=changes))
    assert "F_c epithelial  0.568  0.426 to 0.625  5" in text
    assert "held out, consep" in text
    assert "5 fields, 3,839 nuclei" in text
    assert "macrophage   direct, n = 55" in text
    assert "2: train_3, train_6" in text
    assert "- never saw: brain" in text
    assert "CC0-1.0" in text
    assert load_card(tmp_path / "dark").sha256 in text


def test_a_bare_card_reads_too(tmp_path):
    bare = dark_detector(tmp_path / "dark").model_copy(update={"scores": {}, "training_data": ()})
    assert "Scores" not in describe_card(bare)
    assert "Learned from" not in describe_card(bare)


def test_the_shipped_cards_show_their_scores_license_and_split():
    for card in list_models():
        text = describe_card(card)
        assert len(list(score_rows(card.scores))) > 5
        for part in (card.license, "Scores, with 95 % intervals", "Split by source", "Limits", card.sha256):
            assert part in text


def test_names_are_written_as_people_write_them():
    assert [plain_name(n) for n in ("detection_f1", "pq", "held_out", "f_c_muscle_other")] == [
        "detection F1",
        "PQ",
        "held out",
        "F_c muscle other",
    ]
