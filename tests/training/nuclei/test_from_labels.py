"""From labeled folders to a model that profiles: one call, a few steps of a tiny network."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.labeled_discs import labeled_discs

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from histome.checks import check_model
from histome.datasets.fields import FieldId, instance_field
from histome.errors import DataError, ModelError, UsageError
from histome.models.card import load_card
from histome.models.label_support import read_support
from histome.models.reference import reference_window
from histome.models.runtime import Network
from histome.training.networks import scale_pixels
from histome.training.nuclei.calibrate import first_window
from histome.training.nuclei.from_labels import Plan, read_recipe, train_nuclei
from histome.training.nuclei.from_onnx import network_of
from histome.training.nuclei.ship import support_of
from histome.training.nuclei.train import Recipe

pytestmark = pytest.mark.slow

PLAN = Plan(steps=4, widths=(8, 8, 16), window_px=128, crop_px=64, batch=2, device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labeled_discs(tmp_path_factory.mktemp("data") / "mine")


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "My model"
    return train_nuclei([("mine", folder)], out, PLAN)


def test_the_folder_is_a_model_that_keeps_the_contract(trained):
    found = {finding.name: finding for finding in check_model(trained.weights_path.parent)}
    # A few steps teach nothing: it may see nuclei on glass, and its small halo shows at seams.
    assert {name for name, finding in found.items() if not finding.fine} <= {"blank", "edge", "seam"}
    assert found["reference"].text.startswith("as in the card")


def test_the_card_says_split_marks_scores_and_data(trained):
    assert trained.name == "my-model"
    kept = trained.training["held_out_sources"]["mine"] + trained.training["tuning_sources"]["mine"]
    assert len(kept) == 2
    assert trained.training["labels"]["plasma_cell"] == "direct, n = 12"
    assert trained.training["labels"]["macrophage"] == "indirect"
    assert trained.scores["held_out"]["mine"]["nuclei"] == 12
    assert {"value", "low", "high", "units"} <= trained.scores["held_out"]["mine"]["detection_f1"].keys()
    assert trained.training_data[0].note == "3 fields, 36 nuclei"
    assert trained.thresholds.prob < 0.7
    assert trained == load_card(trained.weights_path.parent)


def test_the_settled_network_is_scored_on_the_tuning_sources(trained):
    head, row = (trained.weights_path.parent / "stages.csv").read_text().splitlines()
    assert head.split(",")[:2] == ["step", "mine_detection_f1"]
    assert row.split(",")[0] == "4"


def test_the_evidence_is_that_of_the_held_out_nuclei(trained):
    classes = trained.scores["classes"]
    assert classes["plasma_cell"]["trained"] == "direct, n = 12"
    assert classes["macrophage"]["n_scored"] == 0
    assert trained.familiarity is None  # three fields are no sample


def test_a_recipe_takes_the_place_of_the_plan(tmp_path, folder):
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 12\nrestarts = [4]\nwidths = [8, 8, 16]\n[mix]\nother = 1.0\n")
    recipe = read_recipe(path)
    assert (recipe.steps, recipe.restarts, recipe.mix) == (12, (4,), {"other": 1.0})
    assert recipe.ema == Recipe().ema
    with pytest.raises(UsageError, match="no share for mine"):
        train_nuclei([("mine", folder)], tmp_path / "out", replace(PLAN, recipe=recipe))
    path.write_text("stepz = 12\n")
    with pytest.raises(UsageError, match="did you mean steps"):
        read_recipe(path)


def test_the_same_line_again_goes_on_and_changes_nothing(trained, folder):
    out = trained.weights_path.parent
    log = (out / "log.csv").read_text()
    again = train_nuclei([("mine", folder)], out, PLAN)
    assert (out / "log.csv").read_text() == log
    assert again == trained


def test_other_settings_in_the_same_folder_are_refused(trained, folder):
    with pytest.raises(UsageError, match="other data or settings"):
        train_nuclei([("mine", folder)], trained.weights_path.parent, replace(PLAN, steps=9))


def test_training_begins_where_a_model_ends(trained, folder, tmp_path):
    plan = replace(PLAN, start=str(trained.weights_path.parent), steps=2, widths=None)
    card = train_nuclei([("mine", folder)], tmp_path / "second", plan)
    assert card.training["widths"] == [8, 8, 16]
    assert card.training["labels"]["plasma_cell"] == "direct, n = 24"  # the parent's and its own
    assert card.training_data[-1].note == "through my-model"
    assert card.license == f"as its training data allow; my-model: {trained.license}"
    assert card.limits[-1].startswith("my-model learned from mine before")
    assert "begun with my-model" in card.description


def test_unfolded_weights_are_the_same_function_and_can_be_trained_on(trained, monkeypatch):
    window = reference_window(trained)

    def unfolded():
        net = network_of(trained, Recipe(widths=PLAN.widths), [window[0]])
        with torch.no_grad():
            still, moving = (net.train(on)(scale_pixels(torch.from_numpy(window))) for on in (False, True))
        return still, moving["logits"].numpy()

    still, moving = unfolded()
    wanted = Network(trained, backend="cpu")(window)
    np.testing.assert_allclose(still["logits"].numpy(), wanted["logits"], atol=1e-4)
    np.testing.assert_allclose(torch.sigmoid(still["prob"]).numpy(), wanted["prob"], atol=1e-4)
    # Of a network that has learned nothing most channels vary less than the floor under their spread.
    logits = still["logits"].numpy()
    assert np.abs(moving - logits).mean() < 0.05 * logits.std()
    # Without that floor the norms' statistics are those of the batch, and nothing changes in training.
    monkeypatch.setattr("histome.training.nuclei.from_onnx._LEAST_VARIANCE", 0.0)
    still, moving = unfolded()
    np.testing.assert_allclose(moving, still["logits"].numpy(), atol=1e-4)


def test_a_network_of_other_widths_is_one_clear_line(trained):
    with pytest.raises(ModelError, match="not a nuclei network of widths") as caught:
        network_of(trained, Recipe(widths=(16, 16, 32)), [])
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="not a nuclei network"):
        network_of(load_card("tissue"), Recipe(), [])


def test_two_patients_are_too_few(tmp_path):
    folder = labeled_discs(tmp_path / "few", patients=2)
    with pytest.raises(DataError, match="fewer than three sources"):
        train_nuclei([("mine", folder)], tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def test_an_unknown_label_is_refused_before_anything_is_written(tmp_path):
    folder = labeled_discs(tmp_path / "typo", labels=("Lymphocyte",))
    with pytest.raises(DataError, match="unknown label 'Lymphocyte'"):
        train_nuclei([("mine", folder)], tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def test_labels_of_the_model_before_count_too():
    labels = np.zeros((8, 8), np.int32)
    labels[2:4, 2:4] = 1
    rgb = np.zeros((8, 8, 3), np.uint8)
    field = instance_field(FieldId("d", "a", "p"), rgb, labels, np.array([0, 1 << 8], np.uint16), mpp=0.5)
    before = read_support({"plasma_cell": "indirect", "macrophage": "direct, n = 55", "other": "said so"})
    support = support_of([field], before)
    assert support["plasma_cell"] == "direct, n = 1"
    assert support["macrophage"] == "direct, n = 55"
    assert support["other"] == "indirect"


def test_a_large_field_is_cut_to_what_a_window_shows():
    labels = np.zeros((200, 200), np.int32)
    labels[10:20, 10:20], labels[150:160, 150:160], labels[10:20, 150:160] = 1, 2, 3
    rgb = np.full((200, 200, 3), 200, np.uint8)
    sets = np.array([0, 1, 2, 4], np.uint16)
    field = instance_field(FieldId("d", "a", "p"), rgb, labels, sets, mpp=0.25)
    assert first_window(field, 100) is field
    cut = first_window(field, 90)
    assert cut.image.shape == (90, 90, 3)
    assert cut.labels.shape == (180, 180)
    assert cut.sets.tolist() == [0, 1, 2, 4]
    small = first_window(field, 60)
    assert small.labels.max() == 1
    np.testing.assert_allclose(small.points_px, [[15, 15]])
