"""The settings tree, the vocabulary and the CPU count."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from histome.classes import (
    CELL_CLASSES,
    NUCLEATED_TISSUES,
    ORGANS,
    QC_CLASSES,
    TISSUE_CLASSES,
    find_organ,
)
from histome.config import Config, Settings, SlideConfig, read_settings
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


@pytest.mark.parametrize(
    ("name", "organ"),
    [
        ("skin", "skin"),
        ("Colon", "colorectum"),
        (" large_bowel ", "colorectum"),
        ("Lymph-Node", "lymph node"),
    ],
)
def test_an_organ_is_known_by_its_other_names(name: str, organ: str) -> None:
    assert SlideConfig(organ=name).organ == organ


@pytest.mark.parametrize(
    ("name", "near"), [("kidny", "kidney"), ("colno", "colon"), ("qqq", "choose from adrenal")]
)
def test_an_unknown_organ_is_one_line_with_near_ones(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"organ: '{name}' is no organ known here; .*{near}"):
        SlideConfig().updated(organ=name)
    path = tmp_path / "settings.toml"
    path.write_text(f'[slide]\norgan = "{name}"\n')
    with pytest.raises(UsageError, match=rf"settings\.toml: setting slide\.organ: '{name}' is no organ"):
        Config.from_toml(path)


def test_no_name_means_two_organs() -> None:
    names = [name for organ, others in ORGANS.items() for name in (organ, *others)]
    assert len(names) == len(set(names))
    assert all(find_organ(name) in ORGANS for name in names)


def test_toml_overrides_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[slide]\n[qc]\n")
    assert Config.from_toml(path) == Config()


def test_a_mark_at_the_beginning_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[slide]\norgan = 'lung'\n", encoding="utf-8-sig")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert Config.from_toml(path).slide.organ == "lung"


def test_a_value_where_a_table_belongs_is_told_in_our_words(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("qc = 3\n")
    with pytest.raises(UsageError) as caught:
        Config.from_toml(path)
    wanted = "must be a table such as [qc] with model, out_of_focus_below"
    assert str(caught.value) == f"{path}: setting qc: {wanted}"


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[cels]\nmodel = "x"\n', "unknown setting [cels]; did you mean [cells]?"),
        ('[cells]\nmode1 = "x"\n', "unknown setting cells.mode1; did you mean cells.model?"),
        ("thumbnail_px = 7\n", "unknown setting thumbnail_px"),
        ('cell_ = "x"\n', "unknown setting cell_; did you mean [cells]?"),
        ("[qc.deep]\nx = 1\n", "unknown setting [qc.deep]"),
        ("[zzz]\n[qc]\nout_of_focus_below = 'x'\n", "unknown setting [zzz]"),
        ('["ce\\nls"]\n', "unknown setting [ce%0Als]; did you mean [cells]?"),
    ],
)
def test_an_unknown_setting_is_told_in_our_words(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        Config.from_toml(path)
    assert str(caught.value) == f"{path}: {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("out_of_focus_below = nan", "qc.out_of_focus_below: Input should be a finite number"),
        ("out_of_focus_below = -inf", "finite"),
        ("out_of_focus_below = 1e400", "finite"),
        (f"out_of_focus_below = {'1' * 400}", "finite"),
        (f"out_of_focus_below = {'1' * 5000}", "Exceeds the limit \\(4300 digits\\).*5000 digits\\)$"),
        (f"x = {'[' * 5000}{']' * 5000}", "nested too deeply"),
        (f"{'a.' * 5000}b = 1", "nested too deeply"),
        ("out_of_focus_below = 2020-01-01", "not a valid TOML file"),
    ],
)
def test_absurd_values_are_a_usage_error(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"[qc]\n{text}\n")
    with pytest.raises(UsageError, match=told) as caught:
        Config.from_toml(path)
    assert len(str(caught.value)) < 250 + len(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_settings_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Config.from_toml(tmp_path / "none.toml")
