"""What a curriculum refuses at its beginning: the run and its check say the same, before any training."""

import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_curriculum import SETTINGS, draw_data
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from histome.cli import main
from histome.datasets.fields import load_fields, read_rows
from histome.encoders.vit import import_without_torchvision
from histome.errors import DataError, HistomeError, ModelError, OutputError, UsageError
from histome.training.processes import Worker
from histome.training.uperhover import curriculum, prepare, pseudo
from histome.training.uperhover.build import make_network
from histome.training.uperhover.check import check_curriculum
from histome.training.uperhover.config import CurriculumConfig, StageConfig, UnlabeledConfig
from histome.training.uperhover.patches import PatchFiles
from histome.training.uperhover.pseudo import Piece, label_pieces, list_images, pieces, write_pieces
from histome.training.uperhover.result import read_maps
from histome.training.uperhover.train import take_best

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


def drawing(data: Path, patches: int) -> CurriculumConfig:
    """The settings with so many patches a stage, drawn by lot."""
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    stages = tuple(stage.model_copy(update={"patches": patches}) for stage in config.stages)
    return config.model_copy(update={"stages": stages})


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
        (("mpps = [0.5, 1.0]", "mpps = []"), r"stages\.2\.mpps"),
        (("every = 10", f"every = 10\nseed = {2**64}"), r"training\.seed"),
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


def test_an_encoder_without_a_row_of_blocks_is_refused(data: Path) -> None:
    settings = SETTINGS.replace("[encoder]", '[encoder]\nname = "swin_tiny_patch4_window7_224"')
    for said in refusals(data, settings):
        assert isinstance(said, UsageError)
        assert "encoder.name 'swin_tiny_patch4_window7_224' has no blocks" in str(said)


def test_a_hub_that_is_not_reached_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = import_without_torchvision("timm")

    def fetch(*_: object, **__: object) -> None:
        raise FileNotFoundError("cannot find the requested files\nin the local cache")

    monkeypatch.setattr(timm, "create_model", fetch)
    settings = SETTINGS.replace("[encoder]", '[encoder]\nname = "hf-hub:some/one"')
    for said in refusals(data, settings):
        assert isinstance(said, UsageError)
        assert "'hf-hub:some/one' cannot be fetched from its hub; without a network" in str(said)
        assert "\n" not in str(said)


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


def test_tables_that_a_spreadsheet_wrote_are_read(data: Path) -> None:
    """Excel's CSV UTF-8 begins with a mark of three bytes."""
    before = list(load_fields(data / "labeled", "drawn"))
    for name in ("images.csv", "nuclei.csv"):
        table = data / "labeled" / name
        table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    after = list(load_fields(data / "labeled", "drawn"))
    assert [f.name for f in after] == [f.name for f in before]
    assert [f.sets.tolist() for f in after] == [f.sets.tolist() for f in before]
    assert read_rows(data / "labeled" / "images.csv")[0]["image"] == "0"


@pytest.mark.parametrize(
    ("table", "column"), [("images.csv", "mpp"), ("nuclei.csv", "label"), ("nuclei.csv", "image")]
)
def test_a_column_that_is_not_there_is_told_with_those_that_are(data: Path, table: str, column: str) -> None:
    path = data / "labeled" / table
    path.write_text(path.read_text().replace(column, "wrong", 1))
    for said in refusals(data):
        assert isinstance(said, DataError)
        assert str(said).startswith(f"{path}: has no column {column}; its columns are ")
        assert "wrong" in str(said)


def test_nuclei_without_a_pixel_are_told_with_their_number(data: Path, capsys) -> None:
    with (data / "labeled" / "nuclei.csv").open("a") as file:
        file.write("0,9,0,0,lymphocyte\n1,9,0,0,lymphocyte\n")
    prepare.split_labeled(CurriculumConfig.from_toml(data / "curriculum.toml"))
    assert "warning: 2 labeled nuclei have no pixel" in capsys.readouterr().out


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_command_prints_nothing_but_results(data: Path, capsys, quiet: bool) -> None:
    with (data / "labeled" / "nuclei.csv").open("a") as file:
        file.write("0,9,0,0,lymphocyte\n")
    words = ["train", "curriculum", "-c", str(data / "curriculum.toml"), "-o", str(data / "out"), "--check"]
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--quiet"] if quiet else words)
    told = capsys.readouterr().out
    assert "parameters: " in told
    assert ("1 labeled nuclei have no pixel" in told) is not quiet


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_first_process_prints_the_results(data: Path, monkeypatch, capsys, rank: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(curriculum, "run_curriculum", lambda *_: [])
    monkeypatch.setattr(curriculum, "table", lambda _: "all the figures")
    with pytest.raises(SystemExit, match="0"):
        main(["train", "curriculum", "-c", str(data / "curriculum.toml"), "-o", str(data / "out")])
    assert capsys.readouterr().out == ("all the figures\n" if rank == "0" else "")


def test_a_folder_of_another_curriculum_is_refused_by_the_check(data: Path) -> None:
    (data / "out").mkdir()
    (data / "out" / "curriculum.json").write_text("{}")
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    for begin in (check_curriculum, curriculum.run_curriculum):
        with pytest.raises(OutputError, match="other settings"):
            begin(config, data / "out")


def test_settings_are_the_same_from_whatever_folder_they_are_given(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they stand as they were given, as they were written once."""
    (data / "w.pt").write_bytes(b"")
    (data / "curriculum.toml").write_text(SETTINGS.replace("[encoder]", '[encoder]\nweights = "w.pt"'))
    whole = CurriculumConfig.from_toml(data / "curriculum.toml")
    monkeypatch.chdir(data)
    given = CurriculumConfig.from_toml(Path("curriculum.toml"))
    assert given.labeled != whole.labeled
    assert prepare.settings_text(given) == prepare.settings_text(whole)
    (data / "out").mkdir()
    (data / "out" / "curriculum.json").write_text(given.model_dump_json(exclude=prepare._FREE))
    prepare.refuse_other_settings(whole, data / "out")
    (data / "out" / "curriculum.json").write_text(prepare.settings_text(given))
    (data / "elsewhere").mkdir()
    monkeypatch.chdir(data / "elsewhere")
    prepare.refuse_other_settings(CurriculumConfig.from_toml(Path("..", "curriculum.toml")), data / "out")
    other = whole.model_copy(update={"unlabeled": (UnlabeledConfig(folder=str(data), mpp=0.5),)})
    with pytest.raises(OutputError, match="other settings"):
        prepare.refuse_other_settings(other, data / "out")


def test_linked_folders_are_read_each_once(data: Path) -> None:
    (data / "others").mkdir()
    Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(data / "others" / "linked.png")
    (data / "others" / "back").symlink_to(data / "more")
    for name in ("once", "twice"):
        (data / "more" / name).symlink_to(data / "others")
    found = list_images([UnlabeledConfig(folder=str(data / "more"), mpp=0.5)])
    names = [image.path.relative_to(data / "more").as_posix() for image in found.images]
    assert names == [*(f"images/{k}.png" for k in range(6)), "once/linked.png"]
    assert found.damaged == []


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
        assert "16 of 24 patches of stage 2 cannot be read, such as" in str(said)
        assert ".png" in str(said)
    for k in range(4):
        (data / "more" / "images" / f"{k}.png").write_bytes(b"no image")
    for said in refusals(data):
        assert "4 of 6 unlabeled images cannot be read, such as" in str(said)
        assert "0.png" in str(said)


def test_bad_headers_are_counted_among_all_images_not_among_those_drawn(data: Path) -> None:
    for k in range(3):
        (data / "more" / "images" / f"{k}.png").write_bytes(b"no image")
    told = check_curriculum(drawing(data, 1), data / "out").left_out
    assert told.startswith("3 of 6 unlabeled images cannot be read and are left out: ")


def test_another_patch_is_drawn_for_one_that_cannot_be_read(data: Path) -> None:
    """What the check passes has as many patches as the settings ask for, and all can be read."""
    config = drawing(data, 3)
    first = prepare.prepare(config, data / "out").pools
    cut(first[1][0].path)
    pools = prepare.prepare(config, data / "out").pools
    assert [len(pool) for pool in pools] == [0, 3, 3]
    assert all(piece.read().size for pool in pools for piece in pool)
    left = [piece for piece in first[1] if piece.path != first[1][0].path]
    assert set(left) <= set(pools[1])


def labels_of(data: Path, stage: int) -> Path:
    """The folder of a stage's labels."""
    folder = data / "out" / f"stage{stage}" / "labels"
    folder.mkdir(parents=True)
    return folder


def test_where_all_is_labeled_no_unlabeled_image_is_looked_at(data: Path) -> None:
    for k in range(6):
        (data / "more" / "images" / f"{k}.png").write_bytes(b"no image")
    for stage in (2, 3):
        (labels_of(data, stage) / "labels.json").write_text("{}")
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    assert prepare.prepare(config, data / "out").pools == ([], [], [])


def test_a_stage_that_has_begun_goes_on_with_its_list(data: Path) -> None:
    """Images that came since are not in it; those that went bad count against the whole list."""
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    pools = prepare.prepare(config, data / "out").pools
    for stage, pool in ((2, pools[1]), (3, pools[2])):
        write_pieces(labels_of(data, stage), pool)
    (data / "more" / "images" / "00.png").write_bytes((data / "more" / "images" / "0.png").read_bytes())
    assert prepare.prepare(config, data / "out").pools == pools
    (data / "out" / "stage2" / "labels" / "entropy-0.csv").write_text("0,0.5\n1,nan\n")
    cut(data / "more" / "images" / "5.png")
    found = prepare.prepare(config, data / "out")
    assert found.pools[1] == [piece for piece in pools[1][2:] if piece.path.name != "5.png"]
    assert found.left_out.startswith("1 of 6 unlabeled images cannot be read")
    for k in range(4):
        cut(data / "more" / "images" / f"{k}.png")
    with pytest.raises(DataError, match="18 of 24 patches of stage 2 cannot be read"):
        prepare.prepare(config, data / "out")


def test_only_what_a_stage_will_label_is_decoded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(prepare, "find_damaged", lambda paths: decoded.extend(paths) or {})
    few = drawing(data, 2)
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
    again, same = label_pieces(found, teacher, stage, tmp_path / "labels", ALONE)
    assert (again.stems, same) == (kept.stems, told)  # a network learns from them already
    (tmp_path / "labels" / "labels.json").unlink()
    again, told = label_pieces(found, teacher, stage, tmp_path / "labels", ALONE)
    assert (len(again), told["damaged"]) == (6, 0)
    for k in range(4):
        cut(tmp_path / "images" / f"{k}.png")
    with pytest.raises(DataError, match=r"4 of 6 patches of .*other cannot be read"):
        label_pieces(found, teacher, stage, tmp_path / "other", ALONE)


def test_labels_go_on_with_their_list_when_the_folder_has_changed(tmp_path: Path) -> None:
    """Cut off after two of four, and an image that sorts first came: numbers and pixels stay together."""
    (tmp_path / "images").mkdir()
    for k in range(1, 5):
        Image.fromarray(np.full((32, 32, 3), k, np.uint8)).save(tmp_path / "images" / f"{k}.png")
    calls: list[int] = []

    def teacher(image: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
        if len(calls) == 2:
            calls.append(0)
            raise InterruptedError
        calls.append(image[0, 0, 0])
        classes = np.zeros((6, 32, 32), np.float32)
        classes[1] = 1
        return classes, np.full((32, 32), image[0, 0, 0], np.int32)

    def listed() -> list[Piece]:
        return pieces(list_images([UnlabeledConfig(folder=str(tmp_path / "images"), mpp=0.5)]), [0.5], 32)

    stage = StageConfig(steps=1, keep=1.0)
    with pytest.raises(InterruptedError):
        label_pieces(listed(), teacher, stage, tmp_path / "labels", ALONE)
    Image.fromarray(np.full((32, 32, 3), 9, np.uint8)).save(tmp_path / "images" / "0.png")
    kept, told = label_pieces(listed(), teacher, stage, tmp_path / "labels", ALONE)
    assert (told["total"], calls) == (4, [1, 2, 0, 3, 4])
    assert [(p.image[0, 0, 0], p.instances[0, 0]) for p in kept] == [(k, k) for k in range(1, 5)]


def test_processes_label_the_list_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads as two processes; the second lists nothing, or something else."""
    for k in range(4):
        Image.fromarray(np.full((32, 32, 3), k, np.uint8)).save(tmp_path / f"{k}.png")
    found = pieces(list_images([UnlabeledConfig(folder=str(tmp_path), mpp=0.5)]), [0.5], 32)
    barrier = threading.Barrier(2, timeout=60)
    monkeypatch.setattr(pseudo, "wait", lambda _: barrier.wait())

    def teacher(image: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
        classes = np.zeros((6, 32, 32), np.float32)
        classes[1] = 1
        return classes, np.ones((32, 32), np.int32)

    def label(rank: int) -> list[int]:
        pool, worker = found if rank == 0 else found[:1], Worker(rank, 2, "cpu")
        kept, _ = label_pieces(pool, teacher, StageConfig(steps=1, keep=1.0), tmp_path / "labels", worker)
        return [int(patch.image[0, 0, 0]) for patch in kept]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(label, (0, 1))) == [[0, 1, 2, 3]] * 2
    assert {len(path.read_text().split()) for path in (tmp_path / "labels").glob("entropy-*.csv")} == {2}


def test_a_damaged_image_whose_name_is_no_utf8_is_told_and_ends_nothing(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"haut\xe9.png")
    (data / "more" / "images" / name).write_bytes(b"no image")
    told = check_curriculum(drawing(data, 1), data / "out").left_out
    assert "haut%E9.png: cannot be read" in told
    (data / "more" / "images" / name).write_bytes((data / "more" / "images" / "0.png").read_bytes())
    config = [UnlabeledConfig(folder=str(data / "more"), mpp=0.5)]
    found = pieces(list_images(config), [0.5], 96)
    cut(data / "more" / "images" / name)

    def teacher(image: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((6, 96, 96), np.float32), np.zeros((96, 96), np.int32)

    label_pieces(found, teacher, StageConfig(steps=1), data / "labels", ALONE)
    assert "haut%E9.png" in capsys.readouterr().out
    assert (data / "labels" / "damaged.txt").read_bytes().endswith(b"haut\xe9.png\n")


@pytest.mark.parametrize("last", ["2,0.", "2,", "2", "x,y\n2,"])
def test_a_row_that_was_cut_off_is_labeled_again(tmp_path: Path, last: str) -> None:
    """The next row begins a line of its own; rows that are no numbers are none."""
    for k in range(5):
        Image.fromarray(np.full((32, 32, 3), k, np.uint8)).save(tmp_path / f"{k}.png")
    calls = []

    def teacher(image: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
        calls.append(int(image[0, 0, 0]))
        classes = np.zeros((6, 32, 32), np.float32)
        classes[1] = 1
        return classes, np.ones((32, 32), np.int32)

    folder = tmp_path / "labels"
    found = pieces(list_images([UnlabeledConfig(folder=str(tmp_path), mpp=0.5)]), [0.5], 32)
    write_pieces(folder, found)
    (folder / "entropy-0.csv").write_text(f"0,0.5\n1,0.25\n{last}")
    label_pieces(found, teacher, StageConfig(steps=1), folder, ALONE)
    assert calls == [2, 3, 4]
    rows = [row for row in (folder / "entropy-0.csv").read_text().split() if row != "x,y"]
    assert [row.split(",")[0] for row in rows] == list("01234")
    assert json.loads((folder / "labels.json").read_text())["damaged"] == 0


def test_a_pseudo_label_that_is_damaged_is_no_full_disk(tmp_path: Path) -> None:
    (tmp_path / "0000000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"0000000\.png: cannot be read as an image"):
        PatchFiles([tmp_path / "0000000"])[0]


def test_a_full_disk_is_one_line(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(curriculum, "fit", fit)
    with pytest.raises(OutputError, match=r"out: cannot be written \(No space left on device\); make room"):
        curriculum.run_curriculum(CurriculumConfig.from_toml(data / "curriculum.toml"), data / "out")


@pytest.mark.parametrize("content", ["", "[]", "{}", "abc"])
def test_a_result_that_is_damaged_is_named_by_check_and_run(data: Path, content: str) -> None:
    (data / "out" / "stage1").mkdir(parents=True)
    (data / "out" / "stage1" / "result.json").write_text(content)
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    for begin in (check_curriculum, curriculum.run_curriculum):
        with pytest.raises(UsageError, match=r"stage1/result\.json: cannot be read .* score the stage again"):
            begin(config, data / "out")


def test_networks_and_maps_that_are_damaged_are_named(data: Path) -> None:
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    work = curriculum.Curriculum(config, data, prepare.split_labeled(config), ALONE)
    (data / "stage1").mkdir()
    for name, read in (
        ("network.pt", lambda: work.network(1)),
        ("held_out.npz", lambda: read_maps(data / "stage1")),
    ):
        for content in (b"", b"abc", b"PK\x03\x04"):
            (data / "stage1" / name).write_bytes(content)
            with pytest.raises(UsageError, match=rf"{name}: cannot be read .* remove result\.json beside it"):
                read()
    for content in (b"", b"abc"):
        (data / "stage1" / "best-1.pt").write_bytes(content)
        torch.save({"best": [(0.5, 1)]}, data / "stage1" / "checkpoint.pt")
        with pytest.raises(UsageError, match=r"best-1\.pt: cannot be read .* remove it and checkpoint\.pt"):
            take_best(make_network(config), data / "stage1", "cpu")


def test_what_was_kept_stays_and_its_file_is_read_or_named(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"total": 3, "kept": 2, "numbers": [0, 2]}')
    kept, told = label_pieces([], lambda *_: None, StageConfig(steps=1), tmp_path, ALONE)  # type: ignore[arg-type]
    assert [stem.name for stem in kept.stems] == ["0000000", "0000002"]
    assert told == {"total": 3, "kept": 2}
    for content in ("", "[]", '{"kept": 2}'):
        (tmp_path / "labels.json").write_text(content)
        with pytest.raises(UsageError, match=r"labels\.json: does not say what was kept; remove"):
            label_pieces([], lambda *_: None, StageConfig(steps=1), tmp_path, ALONE)  # type: ignore[arg-type]
    (tmp_path / "labels.json").unlink()
    (tmp_path / "pieces.csv").write_text("path,mpp\na,1\n")
    with pytest.raises(UsageError, match=r"pieces\.csv: is damaged"):
        label_pieces([], lambda *_: None, StageConfig(steps=1), tmp_path, ALONE)  # type: ignore[arg-type]
