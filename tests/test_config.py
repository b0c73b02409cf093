"""The settings tree, the vocabulary and the CPU count."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from histome import config
from histome.config import CELL_CLASSES, NUCLEATED_TISSUES, QC_CLASSES, TISSUE_CLASSES, Config
from histome.errors import UsageError


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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity on this system")
def test_cpus_follow_the_affinity() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert config.available_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_cpus_follow_the_cgroup_quota(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert config._cgroup_cpus(tmp_path) == expected
