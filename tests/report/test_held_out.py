"""The figure beside a class is that of the label closest to it, on data that its model did not learn from."""

from histome.models.registry import find_model
from histome.report.held_out import held_out_errors


class MadeCard:
    """As much of a card as is read."""

    def __init__(self, **scores: object) -> None:
        self.scores = scores


def figure(value: float, units: int = 12) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "units": units}


def errors_of(**scores: object) -> dict[str, str]:
    found = held_out_errors([MadeCard(**scores)])  # type: ignore[list-item]
    return {name: f"{each.text} ({each.note})".removesuffix(" ()") for name, each in found.items()}


def test_a_label_of_its_own_is_closer_than_a_group() -> None:
    held_out = {
        "one": {
            "f1_matched_inflammatory": figure(0.75, 16),
            "f1_matched_fibroblast_endothelial": figure(0.6),
        },
        "two": {"f1_matched_macrophage": figure(0.18), "f1_matched_neutrophil": figure(0.5)},
    }
    assert errors_of(held_out=held_out) == {
        "macrophage": "F1 0.18",
        "granulocyte": "F1 0.50",
        "lymphocyte": "F1 0.75 (group)",
        "plasma_cell": "F1 0.75 (group)",
        "fibroblast": "F1 0.60 (group)",
        "endothelial_cell": "F1 0.60 (group)",
    }


def test_of_the_same_label_the_one_on_more_fields() -> None:
    held_out = {
        "small": {"f1_matched_lymphocyte": figure(0.9, 3)},
        "large": {"f1_matched_lymphocyte": figure(0.7, 30)},
    }
    assert errors_of(held_out=held_out) == {"lymphocyte": "F1 0.70"}


def test_few_fields_are_told_beside_the_figure() -> None:
    held_out = {"one": {"f1_matched_neutrophil": figure(1.0, 7), "f1_matched_inflammatory": figure(0.6, 7)}}
    found = errors_of(held_out=held_out)
    assert found["granulocyte"] == "F1 1.0 (n = 7)"
    assert found["lymphocyte"] == "F1 0.60 (group, n = 7)"


def test_scores_of_tuning_and_other_figures_say_nothing() -> None:
    tuning = {"one": {"f1_matched_lymphocyte": figure(0.9)}}
    assert (
        errors_of(tuning=tuning, held_out={"one": {"pq": figure(0.5), "macro_f1_matched": figure(0.6)}}) == {}
    )


def test_the_shipped_cards_speak_of_most_classes() -> None:
    found = held_out_errors([find_model("nuclei"), find_model("tissue")])
    assert {"carcinoma_cell", "lymphocyte", "macrophage", "fibroblast", "CARCINOMA", "STROMA"} <= set(found)
    assert "95 % interval" in found["macrophage"].title
