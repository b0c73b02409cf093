"""The list of models is the folders that hold a card."""

import pytest
from tiny_models import segmenter_model, stardist_model

from histome.errors import ModelError
from histome.models.registry import find_model, list_models


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
