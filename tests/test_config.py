"""The settings tree, the vocabulary and the CPU count."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES, QC_CLASSES, TISSUE_CLASSES
from histome.config import Config, Settings, read_settings
from histome.errors import ModelError, UsageError


def test_vocabulary_has_the_published_order() -> None:
    assert QC_CLASSES == ("TISSUE_ARTIFACT", "NO_TISSUE", "MARKER", "OUT_OF_FOCUS", "VALID_TISSUE")
    assert TISSUE_CLASSES[:4] == ("CARCINOMA", "EPITHELIAL_TISSUE", "NECROSIS", "STROMA")
    assert NUCLEATED_TISSUES == ("CARCINOMA", "EPITHELIAL_TISSUE", "STROMA", "OTHER", "VESSEL")
    assert list(CELL_CLASSES) == sorted(CELL_CLASSES)
    assert len(CELL_CLASSES) == 9


def test_settings_are_frozen_and_know_their_names() -> None:
    with pytest.raises(ValidationError):
        Config().qc = None  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValidationError):
        Config.model_validate({"qc": {"no_such_setting": 1}})


def test_toml_overrides_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[slide]\n[qc]\n")
    assert Config.from_toml(path) == Config()


def test_one_reader_for_all_settings_refuses_in_the_words_of_its_caller(tmp_path: Path) -> None:
    class Lamp(Settings):
        levels: tuple[int, ...] = ()

    path = tmp_path / "lamp.toml"
    path.write_text("levels = [1, 2]\n")
    assert read_settings(Lamp, path).levels == (1, 2)
    path.write_text('levels = ["1"]\n')
    with pytest.raises(ModelError, match=r"lamp\.toml: field levels\.0: "):
        read_settings(Lamp, path, what="field", error=ModelError)


@pytest.mark.parametrize(
    ("text", "word"),
    [("[qc]\nno_such_setting = 1\n", "qc.no_such_setting"), ("[qc\n", "TOML"), ("speed = 3\n", "speed")],
)
def test_a_bad_settings_file_is_one_clear_line(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=word) as caught:
        Config.from_toml(path)
    assert "settings.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_settings_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Config.from_toml(tmp_path / "none.toml")
