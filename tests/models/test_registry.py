"""The list of models is the folders that hold a card."""

import pytest
from helpers.drawn_nuclei import DrawnNetwork, drawn_card
from helpers.tiny_models import segmenter_model, stardist_model

from histome.errors import ModelError
from histome.models import registry
from histome.models.registry import describe_model, find_model, list_models, open_model, register_model
from histome.models.runtime import Network


def test_models_are_listed_by_name(tmp_path):
    stardist_model(tmp_path / "b")
    segmenter_model(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    assert [card.name for card in list_models(tmp_path)] == ["a", "b"]


def test_a_model_of_another_task_is_refused(tmp_path):
    stardist_model(tmp_path / "nuclei")
    assert find_model(tmp_path / "nuclei", task="stardist").task == "stardist"
    with pytest.raises(ModelError, match="give a segmenter model"):
        find_model(tmp_path / "nuclei", task="segmenter")


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    model = DrawnNetwork(drawn_card(name="mine"))
    register_model(model)
    return model


def test_a_model_of_ones_own_is_known_by_its_name(own):
    assert find_model("mine", task="stardist") == own.card
    assert open_model(own.card) is own
    assert describe_model(own)["backend"] == "DrawnNetwork"
    with pytest.raises(ModelError, match="give a segmenter model"):
        find_model("mine", task="segmenter")


def test_a_card_that_is_not_the_registered_one_is_its_own_weights(own, tmp_path):
    card = stardist_model(tmp_path / "mine")
    assert isinstance(open_model(card), Network)
    assert describe_model(open_model(card))["sha256"] == card.sha256


def test_a_shipped_model_cannot_be_taken_over(own):
    with pytest.raises(ModelError, match="a shipped model has this name"):
        register_model(DrawnNetwork(drawn_card(name="nuclei")))
