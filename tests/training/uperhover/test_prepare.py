"""What a curriculum refuses at its beginning: the run and its check say the same, before any training."""

from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_curriculum import SETTINGS, draw_data
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from histome.cli import main
from histome.errors import DataError, HistomeError, ModelError, OutputError, UsageError
from histome.training.processes import Worker
from histome.training.uperhover import curriculum, prepare
from histome.training.uperhover.check import check_curriculum
from histome.training.uperhover.config import CurriculumConfig, StageConfig, UnlabeledConfig
from histome.training.uperhover.pseudo import label_pieces, list_images, pieces

ALONE = Worker(0, 1, "cpu")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A drawn curriculum, in which a training would fail the test and the export, 7 s, is left out."""

    def train(*_: object) -> None:
        raise AssertionError("it is trained")

    monkeypatch.setattr(curriculum, "fit", train)
    monkeypatch.setattr(prepare, "try_export", lambda *_: None)
    return draw_data(tmp_path)


def refusals(data: Path, settings: str = SETTINGS) -> list[HistomeError]:
    """What the check and the run say of the settings."""
    said = []
    (data / "curriculum.toml").write_text(settings)
    for begin in (check_curriculum, curriculum.run_curriculum):
        with pytest.raises(HistomeError) as caught:
            begin(CurriculumConfig.from_toml(data / "curriculum.toml"), data / "out")
        said.append(caught.value)
    assert not (data / "out").exists()
    return said


def cut(path: Path) -> None:
    """Leave the header and a part of the pixels."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("crop_px = 16", "crop_px = 20"), r"curriculum\.toml: training\.crop_px is 20; .* multiple of 8"),
        (("heads = 2", "heads = 3"), r"curriculum\.toml: encoder: .* width 16 a multiple of 8 and of 4 x 3"),
        (('tuning = ["p2"]', 'tuning = ["p2", "p9"]'), r"\[\[labeled\]\] drawn: tuning names 'p9'.* p1, p2"),
        (('held_out = ["p3", "p4"]', 'held_out = ["p8"]'), r"drawn: held_out names 'p8', which is no source"),
        (('tuning = ["p2"]', 'tuning = ["p3"]'), r"labeled\.0: 'p3' stands in tuning and in held_out"),
        (('tuning = ["p2"]', "tuning = []"), "no typed field to tune on"),
        (('tuning = ["p2"]', 'tuning = ["p1", "p2"]'), "no typed field to learn from"),
        (("mpps = [0.5, 1.0]", "mpps = [0.1]"), r"more: no image that can be shown at 0\.1 um/px"),
    ],
)
def test_the_check_and_the_run_refuse_the_same(data: Path, change: tuple[str, str], said: str) -> None:
    check, run = refusals(data, SETTINGS.replace(*change))
    assert str(check) == str(run)
    assert type(check) is type(run)
    with pytest.raises(type(run), match=said):
        raise run
    assert "\n" not in str(run)


def test_the_command_says_what_the_check_refuses(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "curriculum.toml").write_text(SETTINGS.replace("crop_px = 16", "crop_px = 20"))
    with pytest.raises(SystemExit, match="2"):
        main(["train", "curriculum", "-c", str(data / "curriculum.toml"), "-o", str(data / "out"), "--check"])
    told = capsys.readouterr()
    assert "training.crop_px is 20" in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02N."])
def test_weights_that_are_none_are_refused(data: Path, content: bytes) -> None:
    (data / "w.pt").write_bytes(content)
    settings = SETTINGS.replace("[encoder]", '[encoder]\nweights = "w.pt"')
    for said in refusals(data, settings):
        assert isinstance(said, UsageError)
        assert "w.pt: no weights of the encoder plain" in str(said)


def test_a_network_that_cannot_be_exported_is_refused_by_both(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("this network cannot be exported to ONNX")

    monkeypatch.setattr(prepare, "try_export", fail)
    assert [str(said) for said in refusals(data)] == ["this network cannot be exported to ONNX"] * 2


def test_a_number_that_is_none_is_told_with_file_line_and_column(data: Path) -> None:
    table = data / "labeled" / "images.csv"
    table.write_text(table.read_text().replace("p2,0.5", "p2,", 1))
    for said in refusals(data):
        assert isinstance(said, DataError)
        assert str(said) == f"{table}: line 3: mpp is ''; give the image's um/px there"


def test_a_folder_of_another_curriculum_is_refused_by_the_check(data: Path) -> None:
    (data / "out").mkdir()
    (data / "out" / "curriculum.json").write_text("{}")
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    for begin in (check_curriculum, curriculum.run_curriculum):
        with pytest.raises(OutputError, match="other settings"):
            begin(config, data / "out")


def test_a_folder_that_cannot_be_is_refused_by_the_check(data: Path) -> None:
    (data / "file").write_text("")
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    for begin in (check_curriculum, curriculum.run_curriculum):
        with pytest.raises(OutputError, match="cannot be written"):
            begin(config, data / "file" / "out")


def test_damaged_unlabeled_images_are_named_before_the_training_and_left_out(data: Path, capsys) -> None:
    """One has a header alone, one no header: both are told at once, and neither ends the run."""
    cut(data / "more" / "images" / "2.png")
    (data / "more" / "images" / "4.png").write_bytes(b"no image")
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    told = check_curriculum(config, data / "out").left_out
    assert told.startswith("2 of 6 unlabeled images cannot be read and are left out: ")
    assert "4.png" in told
    assert "2.png" in told
    with pytest.raises(AssertionError, match="it is trained"):
        curriculum.run_curriculum(config, data / "out")
    assert f"warning: {told}" in capsys.readouterr().out


def test_a_pool_of_which_most_is_damaged_is_refused(data: Path) -> None:
    for k in range(4):
        cut(data / "more" / "images" / f"{k}.png")
    for said in refusals(data):
        assert "4 of 6 unlabeled images cannot be read, such as" in str(said)
        assert "0.png" in str(said)


def test_only_what_a_stage_will_label_is_decoded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(prepare, "find_damaged", lambda paths: decoded.extend(paths) or [])
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    stages = tuple(stage.model_copy(update={"patches": 2}) for stage in config.stages)
    few = config.model_copy(update={"stages": stages})
    pools = prepare.prepare(few, data / "out").pools
    assert [len(pool) for pool in pools] == [0, 2, 2]
    assert set(decoded) == {piece.path for pool in pools for piece in pool}
    decoded.clear()
    prepare.prepare(few, data / "out", Worker(1, 2, "cpu"))  # the first of several processes does it
    assert decoded == []


def test_an_image_that_goes_bad_while_it_is_labeled_is_left_out_counted_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for k in range(6):
        noise = rng.integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "images" / f"{k}.png")

    def teacher(image: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
        classes = np.zeros((6, 32, 32), np.float32)
        classes[1] = 1
        return classes, np.ones((32, 32), np.int32)

    found = pieces(list_images([UnlabeledConfig(folder=str(tmp_path / "images"), mpp=0.5)]), [0.5], 32)
    whole = (tmp_path / "images" / "3.png").read_bytes()
    cut(tmp_path / "images" / "3.png")
    stage = StageConfig(steps=1, keep=1.0)
    kept, told = label_pieces(found, teacher, stage, tmp_path / "labels", ALONE)
    assert (told["total"], told["damaged"], told["without_foreground"], told["kept"]) == (6, 1, 0, 5)
    assert len(kept) == 5
    assert (tmp_path / "labels" / "damaged.txt").read_text() == f"{tmp_path / 'images' / '3.png'}\n"
    assert "warning: 1 of 6 patches cannot be read and are left out" in capsys.readouterr().out
    (tmp_path / "images" / "3.png").write_bytes(whole)
    again, told = label_pieces(found, teacher, stage, tmp_path / "labels", ALONE)
    assert (len(again), told["damaged"]) == (6, 0)
    for k in range(4):
        cut(tmp_path / "images" / f"{k}.png")
    with pytest.raises(DataError, match="4 of 6 patches cannot be read"):
        label_pieces(found, teacher, stage, tmp_path / "other", ALONE)
