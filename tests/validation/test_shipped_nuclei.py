"""The recipe of the nuclei model, through the code that profiles a slide, on real held-out fields.

The shipped weights learned from these fields too: those of runs/recipes/nuclei did not.
"""

from pathlib import Path

import numpy as np
import pytest

from histome.cells import find_cells
from histome.config import CellsConfig
from histome.datasets.declared import declaration_of
from histome.datasets.fields import load_fields
from histome.datasets.splits import split_fields
from histome.models.card import load_card
from histome.models.runtime import Network
from histome.slide import open_slide
from histome.validation.matching import detection_counts

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[2] / "runs" / "recipes" / "nuclei"
# The held-out figure of the card less a wide margin: one field is not the whole set.
FIELDS = {
    "consep": ("consep_train_3", 0.65),
    "monuseg": ("TCGA-AR-A1AS-01Z-00-DX1", 0.72),
    "tnbc": ("07_1", 0.72),
}


@pytest.fixture(scope="module")
def network():
    return Network(load_card(RECIPE))


@pytest.mark.parametrize("data_set", FIELDS)
def test_a_held_out_field_scores_as_the_card_says(data_set, network, data_dir):
    root = data_dir(data_set)
    name, least = FIELDS[data_set]
    field = next(f for f in load_fields(root, data_set) if f.name == name)
    assert field.source in declaration_of(data_set).held_out
    with open_slide(root / "images" / f"{name}.jpg", mpp=field.label_mpp) as slide:
        cells = find_cells(slide, None, network, CellsConfig())
    found = np.stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()], axis=1)
    assert detection_counts(field.points_px * field.label_mpp, found).f1 > least


def test_the_card_names_the_sources_it_tuned_on_and_held_out():
    card = load_card("nuclei")
    for data_set, kept in card.training["tuning_sources"].items():
        assert kept == sorted(declaration_of(data_set).tuning)
        assert card.training["held_out_sources"][data_set] == sorted(declaration_of(data_set).held_out)


@pytest.mark.parametrize("data_set", FIELDS)
def test_the_card_counts_the_fields_and_nuclei_that_are_held_out(data_set, data_dir):
    split = split_fields(load_fields(data_dir(data_set), data_set))
    table = load_card("nuclei").scores["held_out"][data_set]
    assert table["fields"] == len(split.held_out)
    assert table["nuclei"] == sum(len(field.points_px) for field in split.held_out)
    assert table["sources"] == len(declaration_of(data_set).held_out)


@pytest.mark.parametrize("name", ["nuclei", "tissue"])
def test_the_shipped_model_is_the_recipe_with_weights_of_all_fields(name):
    shipped, recipe = load_card(name), load_card(RECIPE.parent / name)
    own = {"sha256", "reference", "training", "limits", "organs"}
    assert shipped.model_dump(exclude=own) == recipe.model_dump(exclude=own)
    assert shipped.sha256 != recipe.sha256
    assert "refit" in shipped.training
    assert "refit" not in recipe.training
