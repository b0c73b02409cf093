"""The shipped nuclei model, through the code that profiles a slide, on real held-out fields."""

import numpy as np
import pytest

from histome.cells import find_cells
from histome.config import CellsConfig
from histome.datasets.fields import load_fields
from histome.datasets.splits import HELD_OUT, TUNING
from histome.models.card import load_card
from histome.models.runtime import Network
from histome.slide import open_slide
from histome.validation.matching import detection_counts

# The held-out figure of the card less a wide margin: one field is not the whole set.
FIELDS = {
    "consep": ("consep_train_3", 0.65),
    "monuseg": ("TCGA-AR-A1AS-01Z-00-DX1", 0.72),
    "tnbc": ("07_1", 0.72),
}


@pytest.fixture(scope="module")
def network():
    return Network(load_card("nuclei"))


@pytest.mark.parametrize("data_set", FIELDS)
def test_a_held_out_field_scores_as_the_card_says(data_set, network, data_dir):
    root = data_dir(data_set)
    name, least = FIELDS[data_set]
    field = next(f for f in load_fields(root, data_set) if f.name == name)
    assert field.source in HELD_OUT[data_set]
    with open_slide(root / "images" / f"{name}.jpg", mpp=field.label_mpp) as slide:
        cells = find_cells(slide, None, network, CellsConfig())
    found = np.stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()], axis=1)
    assert detection_counts(field.points_px * field.label_mpp, found).f1 > least


def test_the_card_names_the_sources_it_tuned_on_and_held_out():
    card = load_card("nuclei")
    for data_set, sources in TUNING.items():
        assert card.training["tuning_sources"][data_set] == sorted(sources)
        assert card.training["held_out_sources"][data_set] == sorted(HELD_OUT[data_set])


def test_every_held_out_score_has_an_interval_and_its_units():
    held_out = load_card("nuclei").scores["held_out"]
    assert {"consep", "monuseg", "tnbc"} <= held_out.keys()
    for table in held_out.values():
        assert table["nuclei"] > 0
        figures = [figure for figure in table.values() if isinstance(figure, dict)]
        assert figures
        for figure in figures:
            assert figure["low"] <= figure["value"] <= figure["high"]
            assert figure["units"] >= 2
