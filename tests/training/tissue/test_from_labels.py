"""From labeled folders to a model of tissue or of quality: one call, two steps."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("efficientnet_lite_pytorch", reason="its encoder comes with the [train] extra")

from histome.checks import check_model
from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.errors import DataError, UsageError
from histome.models.registry import find_model
from histome.models.tasks import QC_TASKS
from histome.training.tissue.from_labels import MapPlan, train_maps

pytestmark = pytest.mark.slow

PLAN = MapPlan(steps=2, window_px=128, crop_px=64, batch=2, device="cpu", mpp=1.0)


def tiles(root, labels, sources=4):
    """Folders of tiles, a color a label, one tile a source."""
    for k, label in enumerate(labels):
        for source in range(sources):
            path = root / label / f"slide {source}" / "tile.png"
            path.parent.mkdir(parents=True)
            pixels = np.random.default_rng(source).integers(0, 60, (96, 96, 3)) + 40 * (k + 1)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tiles(tmp_path_factory.mktemp("data") / "mine", ("CARCINOMA", "STROMA+VESSEL"))
    out = tmp_path_factory.mktemp("runs") / "My tissue"
    return folder, train_maps("tissue", [("mine", folder)], out, PLAN)


def test_the_folder_is_a_tissue_model_with_split_scores_and_support(taught):
    _, card = taught
    assert (card.name, card.task, card.classes) == ("my-tissue", "segmenter", TISSUE_CLASSES)
    kept = card.training["held_out_sources"]["mine"] + card.training["tuning_sources"]["mine"]
    assert len(set(kept)) == 2
    assert card.scores["held_out"]["mine"]["fields"] == 2
    assert {"value", "low", "high"} <= card.scores["held_out"]["mine"]["labeled_right"].keys()
    assert "dice_carcinoma" in card.scores["held_out"]["mine"]
    assert card.training["labels"]["CARCINOMA"] == "direct, n = 2 fields"
    assert card.training["labels"]["STROMA"] == "indirect"
    assert "as in the card" in {f.name: f.text for f in check_model(card.weights_path.parent)}["reference"]


def test_the_same_line_again_changes_nothing_and_other_settings_are_refused(taught):
    folder, card = taught
    assert train_maps("tissue", [("mine", folder)], card.weights_path.parent, PLAN) == card
    with pytest.raises(UsageError, match="other data or settings"):
        train_maps("tissue", [("mine", folder)], card.weights_path.parent, replace(PLAN, steps=9))


def test_a_quality_model_is_taught_the_same_way(tmp_path):
    folder = tiles(tmp_path / "q", ("MARKER", "VALID_TISSUE"), sources=3)
    card = train_maps("qc", [("q", folder)], tmp_path / "ink", PLAN)
    assert (card.task, card.classes) == ("quality", QC_CLASSES)
    findings = {finding.name: finding.fine for finding in check_model(tmp_path / "ink")}
    assert findings["reference"]
    assert findings["values"]
    assert find_model(tmp_path / "ink", task=QC_TASKS) == card


def test_two_sources_are_too_few_and_quality_begins_with_no_tissue(tmp_path):
    folder = tiles(tmp_path / "few", ("CARCINOMA",), sources=2)
    with pytest.raises(DataError, match="fewer than three sources"):
        train_maps("tissue", [("few", folder)], tmp_path / "out", PLAN)
    with pytest.raises(UsageError, match="leave --from out"):
        train_maps("qc", [("few", folder)], tmp_path / "out", replace(PLAN, start="tissue"))
    assert not (tmp_path / "out").exists()
