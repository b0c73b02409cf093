import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.drawn_curriculum import SETTINGS, draw_data
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from histome.cli import main
from histome.datasets.declared import set_of
from histome.datasets.fields import FieldId, instance_field
from histome.errors import DataError, OutputError, UsageError
from histome.models.card import load_card
from histome.training.processes import Worker
from histome.training.uperhover import curriculum, prepare
from histome.training.uperhover.build import make_encoder, make_network
from histome.training.uperhover.check import _one_step, check_curriculum
from histome.training.uperhover.config import CurriculumConfig, EncoderConfig, StageConfig, UnlabeledConfig
from histome.training.uperhover.curriculum import (
    StageResult,
    best_stage,
    make_teacher,
    run_curriculum,
    table,
)
from histome.training.uperhover.export import support_of
from histome.training.uperhover.network import IGNORE, UperHoVer, uperhover_loss
from histome.training.uperhover.patches import class_codes, patch_of
from histome.training.uperhover.pseudo import label_pieces, list_images, pieces
from histome.training.uperhover.result import read_maps
from histome.training.uperhover.scores import Cuts, HoverScore, miou_gain, paired_gain, pixel_figures
from histome.validation.maps.semantic import mean_iou

pytestmark = pytest.mark.slow

ALONE = Worker(0, 1, "cpu")


@pytest.fixture
def data(tmp_path):
    return draw_data(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A curriculum of three stages that ran to its end: its settings, folder and results."""
    torch.set_num_threads(1)  # on a busy machine, threads of a tiny network wait more than they compute
    root = draw_data(tmp_path_factory.mktemp("curriculum"))
    config = CurriculumConfig.from_toml(root / "curriculum.toml")
    return config, root / "out", run_curriculum(config, root / "out")


def test_every_stage_is_scored_on_the_same_human_labels(finished):
    """The published mIoU is each stage's on labels of its own making; here all are of the same fields."""
    _, out, results = finished
    assert [r.stage for r in results] == [1, 2, 3]
    maps = [np.load(out / f"stage{k}" / "held_out.npz") for k in (1, 2, 3)]
    assert [m["pixels"].shape[0] for m in maps] == [4, 4, 4]
    truth = [m["pixels"].sum(-1).tolist() for m in maps]  # true pixels of each class in each field
    assert truth[0] == truth[1] == truth[2]
    assert {r.scores["pixels"]["miou"]["units"] for r in results} == {2}


def test_a_stage_tells_pixels_and_nuclei(finished):
    scores = finished[2][0].scores
    assert {"miou", "dice_neoplastic", "dice_inflammatory"} <= scores["pixels"].keys()
    assert {"pq", "aji", "detection_f1"} <= scores["drawn"].keys()


def test_the_first_stage_learns_from_people_and_the_others_from_kept_patches(finished):
    _, out, (first, *others) = finished
    assert (first.teacher, first.filter, first.gain, first.agreement) == (None, None, None, None)
    for result, share in zip(others, (0.5, 0.7), strict=True):
        written = json.loads((out / f"stage{result.stage}" / "labels" / "labels.json").read_text())
        assert len(written.pop("numbers")) == written["kept"]
        assert result.filter == written
        assert 0 < written["kept"] == result.patches <= share * written["total"]  # the published kept all


def test_a_stage_is_scored_at_other_scales_too(finished):
    for result in finished[2]:
        at_one = result.scores["pixels at 1 um/px"]["miou"]
        assert at_one["units"] == result.scores["pixels"]["miou"]["units"]
        assert 0 < at_one["value"] <= 1
    assert "miou (pixels at 1 um/px) | 2 |" in table(finished[2])  # n


def test_what_a_stage_found_is_kept_with_its_sources(finished):
    _, out, _ = finished
    maps = read_maps(out / "stage1")
    assert sorted(maps["sources"].tolist()) == ["drawn/p3"] * 2 + ["drawn/p4"] * 2
    assert len(maps["pixels"]) == 4


def counts(hits, misses, size=100):
    """Counts of a field of background and one class, of which so many pixels are found and missed."""
    pixels = np.zeros((6, 6), np.int64)
    pixels[0, 0], pixels[1, 1], pixels[1, 0] = size, hits, misses
    return pixels


def test_of_six_sources_no_p_is_below_two_of_64():
    """All gain; none does; all gain but one loses as much as they gain together."""
    sources = [f"s{k}" for k in range(6)]
    right, wrong = counts(50, 0), counts(0, 50)
    better = paired_gain([wrong] * 6, [right] * 6, sources, np.random.default_rng(0))
    same = paired_gain([right] * 6, [right] * 6, sources, np.random.default_rng(0))
    assert better["value"] > 0.5
    assert (better["p"], better["units"]) == (round(2 / 64, 4), 6)
    assert (same["value"], same["p"]) == (0, 1)
    two = paired_gain([wrong] * 2, [right] * 2, sources[:2], np.random.default_rng(0))
    assert two["p"] == 0.5  # where 10,000 draws of two sources would say 0.0002


def test_the_p_of_a_gain_is_that_of_every_swap_of_the_pooled_score():
    """By hand: each source's two results swapped or not, pooled and compared."""
    rng = np.random.default_rng(1)
    before, after = ([counts(int(k), 60 - int(k)) for k in rng.integers(0, 60, 5)] for _ in range(2))
    score = lambda some: float(mean_iou(sum(some).ravel().astype(float)))  # noqa: E731
    gains = []
    for swapped in itertools.product((False, True), repeat=5):
        pairs = [(b, a) if s else (a, b) for s, a, b in zip(swapped, after, before, strict=True)]
        gains.append(score([new for new, _ in pairs]) - score([old for _, old in pairs]))
    given = abs(score(after) - score(before))
    share = np.mean([abs(g) >= given - 1e-12 for g in gains])
    told = paired_gain(before, after, list("abcde"), np.random.default_rng(0))
    assert 2 / 32 < share < 1
    assert told["p"] == round(float(share), 4)


def test_of_many_sources_swaps_are_drawn():
    many = [str(k) for k in range(30)]
    told = paired_gain([counts(20, 30)] * 30, [counts(30, 20)] * 30, many, np.random.default_rng(0))
    assert told["p"] == round(1 / 10_001, 4)


def test_fields_of_one_source_are_swapped_together():
    told = paired_gain([counts(0, 50)] * 8, [counts(50, 0)] * 8, list("aaaabbbb"), np.random.default_rng(0))
    assert (told["p"], told["units"]) == (0.5, 2)


def test_an_interval_is_of_draws_with_every_class():
    """One source of six alone holds the second class, and nothing of it is found."""
    other = np.zeros((6, 6), np.int64)
    other[0, 0], other[2, 0] = 100, 50
    pixels, sources = [*[counts(50, 0)] * 5, other], [str(k) for k in range(6)]
    figures = pixel_figures(pixels, sources, np.random.default_rng(0))
    assert figures["miou"].high < 2 / 3  # two of three classes at best: 1 where the draw has but two
    before = [counts(50, 0)] * 5 + [other]
    gain = miou_gain(
        before,
        [
            HoverScore(SimpleNamespace(data_set="d", source=s), p, None)
            for s, p in zip(sources, pixels, strict=True)
        ],  # type: ignore[arg-type]
        np.random.default_rng(0),
    )
    assert (gain["low"], gain["high"], gain["p"]) == (0, 0, 1)


def test_a_verdict_says_of_how_many_sources(finished):
    for result in finished[2]:
        assert "n = 2 sources" in result.verdict()


def test_a_stage_is_promoted_for_a_gain_alone(finished):
    for result in finished[2][1:]:
        assert result.promoted == (result.gain["value"] > 0)
        assert ("not promoted" in result.verdict()) != result.promoted


def test_the_best_stage_is_a_model(finished):
    _, out, results = finished
    card = load_card(out / "model")
    assert card.training["stage"] == best_stage(results).stage
    assert card.training["stages"] == "3 of 3"
    assert card.thresholds.prob == best_stage(results).cuts["prob_threshold"]
    assert card.scores["held_out"]["pixels"] == best_stage(results).scores["pixels"]


def test_the_table_has_a_column_a_stage(finished):
    results = finished[2]
    assert f"kept of {results[1].filter['total']}" in table(results)
    assert {line.count("|") for line in table(results).splitlines()} == {6}


def test_a_finished_curriculum_is_not_trained_again(finished):
    config, out, results = finished
    networks = {path: path.stat().st_mtime_ns for path in out.glob("stage*/*.pt")}
    assert run_curriculum(config, out) == results
    assert {path: path.stat().st_mtime_ns for path in out.glob("stage*/*.pt")} == networks


def test_a_folder_with_the_results_of_other_settings_is_refused(finished):
    config, out, _ = finished
    with pytest.raises(OutputError, match="other settings"):
        run_curriculum(config.model_copy(update={"stages": config.stages[:2]}), out)


def test_what_is_finished_is_a_model_where_the_next_stage_has_no_label(data, monkeypatch, capsys):
    def blind(*_):
        nothing = np.zeros((6, 48, 48), np.float32)
        nothing[0] = 1
        return lambda image, mpp: (nothing, np.zeros((48, 48), np.int32))

    monkeypatch.setattr(curriculum, "make_teacher", blind)
    words = ["train", "curriculum", "-c", str(data / "curriculum.toml"), "-o", str(data / "out")]
    for _ in range(2):  # and when it is begun again
        with pytest.raises(SystemExit, match="1"):
            main(words)
        said = capsys.readouterr().err
        assert "stage 2 has nothing to learn from, for stage 1 sees no nucleus in 24 patches" in said
        assert f"{data / 'out' / 'model'} is stage 1; give more steps and another folder" in said
        assert said.count("\n") == 1
    card = load_card(data / "out" / "model")
    assert (card.training["stage"], card.training["stages"]) == (1, "1 of 3")


def test_one_process_says_that_a_stage_has_no_label(finished, monkeypatch, capsys):
    config, out, results = finished
    monkeypatch.setattr(curriculum, "wait", lambda _: None)
    work = curriculum.Curriculum(config, out, None, Worker(1, 2, "cpu"))
    with pytest.raises(SystemExit) as ended:
        curriculum._end_early(work, results[:1], 24)
    assert ended.value.code == DataError.exit_code
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


def test_a_worse_stage_labels_nothing():
    result = StageResult(1, 1, None, 1, None, {}, {"pixels": {"miou": {"value": 0.5}}}, None, None, True)
    loss = {"value": -0.1, "low": -0.2, "high": 0.0, "units": 5, "p": 0.04}
    worse = replace(result, stage=2, gain=loss, promoted=False)
    assert best_stage([result, worse]).stage == 1
    assert "not promoted" in worse.verdict()


def test_the_filter_is_applied_counted_and_resumed(tmp_path):
    """Of ten patches with and two without nuclei seven stay; a second run labels none again."""
    (tmp_path / "images").mkdir()
    for k in range(12):
        Image.fromarray(np.full((32, 32, 3), 20 * k, np.uint8)).save(tmp_path / "images" / f"{k:02d}.png")
    calls = []

    def teacher(image, mpp):
        assert mpp == 0.5
        calls.append(1)
        doubt = image[0, 0, 0] / 20 / 30
        classes = np.zeros((6, 32, 32), np.float32)
        classes[0] = 1
        if image[0, 0, 0] < 200:
            classes[:3, 8:24, 8:24] = np.array([0, 1 - doubt, doubt])[:, None, None]
        return classes, (classes[0] < 0.5).astype(np.int32)

    found = pieces(list_images([UnlabeledConfig(folder=str(tmp_path / "images"), mpp=0.5)]), [0.5], 32)
    stage = StageConfig(steps=1, keep=0.7)
    kept, told = label_pieces(found, teacher, stage, tmp_path / "labels", ALONE)
    assert (told["total"], told["without_foreground"], told["kept"]) == (12, 2, 7)
    assert [int(patch.image[0, 0, 0]) // 20 for patch in kept] == list(range(7))
    assert json.loads((tmp_path / "labels/labels.json").read_text()) == {**told, "numbers": list(range(7))}
    assert kept[0].classes[10, 10] == 1
    assert kept[0].instances[10, 10] == 1
    again, _ = label_pieces(found, teacher, stage, tmp_path / "labels", ALONE)
    assert len(calls) == 12
    assert again.stems == kept.stems


def test_an_unlabelled_image_that_is_damaged_is_named(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)).save(
        tmp_path / "a.jpg"
    )
    whole = (tmp_path / "a.jpg").read_bytes()
    config = [UnlabeledConfig(folder=str(tmp_path), mpp=0.5)]
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image"):
        pieces(list_images(config), [0.5], 64)[0].read()
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image"):
        pieces(list_images(config), [0.5], 64)


def test_unlabelled_images_are_cut_at_each_scale(tmp_path):
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(tmp_path / "a.png")
    config = [UnlabeledConfig(folder=str(tmp_path), mpp=0.5)]
    found = pieces(list_images(config), [0.25, 0.5, 1.0], 64)
    assert {p.mpp for p in found} == {0.5, 1.0}  # nothing is shown finer than it was scanned
    assert [p.box for p in found if p.mpp == 1.0] == [(0, 0, 64, 50), (64, 0, 100, 50)]
    assert all(p.read().shape[:2] == (p.box[3] - p.box[1], p.box[2] - p.box[0]) for p in found)
    with pytest.raises(DataError, match=r"no image that can be shown at 0\.1 um/px"):
        pieces(list_images(config), [0.1], 64)
    with pytest.raises(DataError, match=r"at 0\.5 um/px: the largest is 200 x 100 px, .* 128 px at least"):
        pieces(list_images(config), [0.5], 256)


def test_tcga_ut_is_read_as_published(tmp_path):
    for scale in (0, 3):
        folder = tmp_path / "Colon_adenocarcinoma" / str(scale) / "TCGA-AA-0001"
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(folder / "1.jpg")
    config = [UnlabeledConfig(folder=str(tmp_path), layout="tcga-ut")]
    assert [p.mpp for p in pieces(list_images(config), [0.5], 256)] == [0.5]
    assert sorted(p.mpp for p in pieces(list_images(config), [0.5, 0.6, 0.8], 256)) == [0.5, 0.8]
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(tmp_path / "1.jpg")
    with pytest.raises(DataError, match="no folder 0-5"):
        pieces(list_images(config), [0.5], 256)


def test_what_a_curriculum_would_take_is_told_before_it_starts(data, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", "curriculum", "-c", str(data / "curriculum.toml"), "-o", str(data / "out"), "--check"])
    told = capsys.readouterr().out
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    n = sum(p.numel() for p in make_network(config).parameters())
    assert f"parameters: {n / 1e6:.1f} M" in told
    assert "fields: 2 to learn from, 2 to tune on, 4 to score on" in told
    assert "encoder: plain, every stage starts from random weights" in told
    assert f"under torchrun {4 * n / 1e9:.1f} GB more" in told
    assert "stage 3: 10 steps, 10 batches after labeling" in told
    assert not (data / "out").exists()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", ["plain", "efficientnet-lite0", "vit_tiny_patch16_224"])
def test_the_check_takes_a_step_with_every_kind_of_encoder(data, monkeypatch, name, frozen):
    monkeypatch.setattr(prepare, "try_export", lambda *_: None)
    path = data / "curriculum.toml"
    path.write_text(
        SETTINGS.replace("[encoder]", f'[encoder]\nname = "{name}"\nfrozen = {str(frozen).lower()}').replace(
            "crop_px = 16", "crop_px = 64"
        )
    )
    found = check_curriculum(CurriculumConfig.from_toml(path), data / "out")
    assert found.step_flop > 0
    assert found.kept_bytes > 0
    assert (found.trained["encoder"] == 0) == frozen
    assert found.bucket_bytes == 4 * sum(found.trained.values())
    random = name != "efficientnet-lite0"
    assert ("random weights" in found.lines()[0]) == random


@pytest.mark.parametrize("name", ["plain", "efficientnet-lite0", "vit_tiny_patch16_224"])
def test_the_check_counts_what_a_real_batch_keeps(name):
    """The same batch with numbers, under autocast as in the training."""

    def network():
        return UperHoVer(make_encoder(EncoderConfig(name=name, width=24, depth=4)), hidden=8)

    kept, net = {}, network().train()
    own = {t.data_ptr() for t in (*net.parameters(), *net.buffers())}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    image = torch.rand(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    classes = torch.zeros(2, 64, 64, dtype=torch.uint8)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16):
            out = net(image)
        uperhover_loss(out, classes, torch.zeros(2, 2, 64, 64), classes > 0)
    told = _one_step(network(), 2, 64)[1]
    assert told == pytest.approx(sum(t.untyped_storage().nbytes() for t in kept.values()), rel=0.02)


def test_the_check_counts_what_a_step_does(data, monkeypatch):
    monkeypatch.setattr(prepare, "try_export", lambda *_: None)  # 7 s
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    one, two, four = (
        check_curriculum(
            config.model_copy(update={"training": config.training.model_copy(update=change)}), data / "out"
        )
        for change in ({"batch": 2}, {"batch": 4}, {"batch": 8})
    )
    assert two.step_flop == 2 * one.step_flop
    more = two.kept_bytes - one.kept_bytes  # the copies of the weights are as large for any batch
    assert four.kept_bytes - two.kept_bytes == pytest.approx(2 * more, rel=0.05)
    still = config.encoder.model_copy(update={"frozen": True})
    frozen = check_curriculum(config.model_copy(update={"encoder": still}), data / "out")
    assert frozen.trained["encoder"] == 0
    assert frozen.kept_bytes < two.kept_bytes
    assert frozen.weights_bytes < two.weights_bytes


def test_a_crop_that_is_mostly_mirrored_is_told(data, monkeypatch):
    monkeypatch.setattr(prepare, "try_export", lambda *_: None)
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    wide = config.training.model_copy(update={"crop_px": 96})
    found = check_curriculum(config.model_copy(update={"training": wide}), data / "out")
    assert found.known == 0.25  # fields of 48 px
    assert any("mirrored" in line for line in found.lines())


def test_a_teacher_keeps_small_nuclei_at_coarse_scales(data, monkeypatch):
    """The smallest nucleus is one of um2: at twice the um/px a quarter of the pixels."""
    config = CurriculumConfig.from_toml(data / "curriculum.toml")
    seen = []
    monkeypatch.setattr(curriculum, "predict", lambda *_: (np.zeros((6, 8, 8)), np.zeros((2, 8, 8))))
    monkeypatch.setattr(
        curriculum, "decode_outputs", lambda _, mpp, cuts: seen.append(cuts.min_area_um2 / mpp**2) or nothing
    )
    nothing = SimpleNamespace(labels=None)
    teach = make_teacher(None, config, Cuts(min_area_um2=8.0))
    for mpp in (0.5, 1.0):
        teach(np.zeros((8, 8, 3), np.uint8), mpp)
    assert seen == [32.0, 8.0]  # pixels


def test_waiting_longer_is_no_other_curriculum(finished):
    config, out, results = finished
    longer = config.training.model_copy(update={"timeout_s": 5.0})
    assert run_curriculum(config.model_copy(update={"training": longer}), out) == results


def field_of(data_set, labels):
    instances = np.zeros((20, 20 * len(labels)), np.int32)
    for k in range(len(labels)):
        instances[5:15, 20 * k + 5 : 20 * k + 15] = k + 1
    sets = np.array([0, *(set_of(data_set, label) for label in labels)], np.uint16)
    rgb = np.zeros((*instances.shape, 3), np.uint8)
    return instance_field(FieldId(data_set, "f", "s"), rgb, instances, sets, mpp=0.25)


def test_our_label_sets_become_the_six_classes():
    pannuke = field_of("pannuke", ["neoplastic", "inflammatory", "connective", "dead", "epithelial"])
    assert class_codes(pannuke).tolist() == [0, 1, 2, 3, 4, 5]
    names = [
        "malignant epithelial",
        "inflammatory",
        "fibroblast",
        "endothelial",
        "muscle",
        "healthy epithelial",
    ]
    assert class_codes(field_of("consep", names)).tolist() == [0, 1, 2, 3, 3, IGNORE, 5]
    assert class_codes(field_of("monusac", ["epithelial", "macrophage"])).tolist() == [0, IGNORE, 2]


def test_a_class_is_learned_only_from_labels_of_its_own():
    support = support_of(
        [field_of("consep", ["inflammatory", "malignant epithelial", "muscle", "fibroblast"])]
    )
    assert (support["carcinoma_cell"], support["fibroblast"]) == ("direct, n = 1", "direct, n = 1")
    assert {support[name] for name in ("lymphocyte", "other", "endothelial_cell")} == {"indirect"}


def test_a_patch_keeps_labels_at_the_image_scale():
    patch = patch_of(field_of("consep", ["inflammatory", "malignant epithelial"]))
    assert patch.image.shape == (10, 20, 3)  # 0.25 -> 0.5 um/px
    assert patch.classes[5].tolist() == [0] * 2 + [2] * 5 + [0] * 5 + [1] * 5 + [0] * 3
    assert np.array_equal(patch.instances > 0, patch.classes > 0)
    fine = instance_field(
        FieldId("consep", "f", "s", 0.25),
        texture := np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8),
        np.ones((20, 20), np.int32),
        np.zeros(2, np.uint16),
        mpp=0.25,
    )
    assert np.array_equal(patch_of(fine, 0.25).image, texture)  # not halved and enlarged again
    untyped = patch_of(field_of("drawn", ["", ""]))
    assert (untyped.classes == IGNORE).all()
    assert untyped.instances.max() == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("mpp = 0.5\n[[stages]]", "[[stages]]"), "say the images' mpp"),
        (('folder = "more"', 'folder = "none"'), "no such folder"),
        (("steps = 20", "steps = 0"), "stages.0.steps"),
        (("[encoder]", "[encoder"), "not a valid TOML"),
        (("width = 16", "wide = 16"), "encoder.wide"),
        (("width = 16", 'width = 16\nweights = "none.pt"'), "no such file"),
    ],
)
def test_bad_settings_are_one_line(data, change, said):
    path = data / "curriculum.toml"
    path.write_text(SETTINGS.replace(*change))
    with pytest.raises(UsageError, match=said) as caught:
        CurriculumConfig.from_toml(path)
    assert "\n" not in str(caught.value)


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "curriculum", "-c", str(tmp_path / "none.toml"), "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
