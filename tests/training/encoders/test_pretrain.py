"""Pretraining on small drawn fields: it learns, it resumes, its encoder has a decoder's shapes."""

import csv
import inspect
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.layouts import pink, save_png
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from histome.errors import UsageError
from histome.training import encoders
from histome.training.encoders import packed
from histome.training.encoders.crops import CropSampler, crop
from histome.training.encoders.network import PlainEncoder
from histome.training.encoders.objective import (
    balanced,
    correlation,
    crops_loss,
    cut,
    detail_loss,
    gray_patches,
    hide,
)
from histome.training.encoders.packed import PackedField, load_packed
from histome.training.encoders.probe import (
    leave_sources_out,
    linear_probe,
    macro_f1,
    neighbors_probe,
    r_squared,
    source_hits,
)
from histome.training.encoders.train import (
    Pretrainer,
    PretrainRecipe,
    TermWeights,
    export_encoder,
    load_encoder,
    pretrain,
)
from histome.training.loop import batches

pytestmark = pytest.mark.slow

SMALL = PretrainRecipe(
    steps=8, fields=2, widths=(4, 8, 8, 8, 8), depths=(1, 1, 1, 3, 1), prototypes=16, warm_up=1, mix={}
)
POOLED = TermWeights(pooled=0.5, spread=0.05)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn_fields(n=4, side=200):
    """Purple discs on pink, as many and as large as the field's number says."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:side, :side]
    fields = []
    for k in range(n):
        image = np.full((side, side, 3), (225, 170, 200), np.uint8)
        for y, x in rng.uniform(0, side, (20 * (k + 1), 2)):
            image[(rows - y) ** 2 + (cols - x) ** 2 < (4 + 2 * k) ** 2] = (90, 50, 130)
        fields.append(PackedField("drawn", str(k), 0.5, False, image))
    return fields


def rows_of(path):
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_encoder_has_a_map_at_every_stride():
    encoder = PlainEncoder()
    maps = encoder.eval()(torch.zeros(1, 3, 64, 96))
    assert encoder.strides == (2, 4, 8, 16, 32)
    for m, width, stride in zip(maps, encoder.widths, encoder.strides, strict=True):
        assert m.shape == (1, width, 64 // stride, 96 // stride)
    assert sum(p.numel() for p in encoder.parameters()) < 7.5e6  # 15 MB in half precision


def drawn_batches(recipe, last, fields=None, locals_each=0):
    sampler = CropSampler(fields or drawn_fields(), recipe.fields, {}, locals_each=locals_each)
    return batches(sampler, 0, last, recipe.seed)


@pytest.mark.parametrize(("weights", "locals_each"), [(TermWeights(), 0), (POOLED, 4)])
def test_loss_falls(tmp_path, weights, locals_each):
    recipe = replace(SMALL, steps=24, learning_rate=3e-3, warm_up=5, weights=weights)
    trainer = Pretrainer(recipe, tmp_path)
    rows = [trainer.update(b) for b in drawn_batches(recipe, 24, locals_each=locals_each)]
    for name in ("hidden", "seen", "detail", *(["pooled"] if weights.pooled else [])):
        parts = [[row[name] for row in part if row[name] > 0] for part in (rows[:8], rows[-8:])]
        first, last = map(np.mean, parts)  # 0 is a batch of which nothing is hidden
        assert last < first, name
    assert rows[-1]["std"] > 0.1  # not all the same


def test_terms_of_weight_zero_are_not_computed(tmp_path):
    row = Pretrainer(SMALL, tmp_path).update(next(drawn_batches(SMALL, 1)))
    assert {"hidden", "seen", "detail", "correlation"} < row.keys()
    assert not {"pooled", "spread"} & row.keys()


def test_gray_pixels_alone_teach_the_coarsest_stage(tmp_path):
    weights = TermWeights(hidden=0, seen=0, correlation=0)
    trainer = Pretrainer(replace(SMALL, weights=weights), tmp_path)
    trainer.update(next(drawn_batches(SMALL, 1)))
    assert all(p.grad.abs().max() > 0 for p in trainer.net.encoder.stages[-1].parameters())


@pytest.mark.parametrize("weights", [TermWeights(), POOLED])
def test_a_run_that_was_killed_and_resumed_equals_an_undisturbed_one(tmp_path, weights):
    recipe, fields = replace(SMALL, weights=weights), drawn_fields()
    whole = pretrain(recipe, fields, tmp_path / "whole", every=2).state_dict()
    asked = []

    def killed(encoder):
        asked.append(encoder)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        pretrain(recipe, fields, tmp_path / "parts", probe=killed, every=2)
    resumed = pretrain(recipe, fields, tmp_path / "parts", every=2).state_dict()
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-5, atol=1e-6)
    assert [row["step"] for row in rows_of(tmp_path / "parts" / "log.csv")] == [2, 4, 6, 8]


def test_the_probe_is_logged_and_leaves_the_teacher_training(tmp_path):
    modes = []

    def probe(encoder):
        modes.append(encoder.training)
        return {"score": 0.25}

    pretrain(replace(SMALL, steps=2), drawn_fields(), tmp_path, probe=probe, every=1)
    assert modes == [False, False]
    assert [row["score"] for row in rows_of(tmp_path / "log.csv")] == [0.25, 0.25]


def test_a_run_of_another_recipe_or_other_data_is_refused(tmp_path):
    Pretrainer(SMALL, tmp_path, data_sets={"drawn": 4}).save()
    assert Pretrainer(SMALL, tmp_path, data_sets={"drawn": 4}).resumed
    with pytest.raises(UsageError, match="another recipe or other data"):
        Pretrainer(replace(SMALL, weights=POOLED), tmp_path, data_sets={"drawn": 4})
    with pytest.raises(UsageError, match="another recipe or other data"):
        Pretrainer(SMALL, tmp_path, data_sets={"drawn": 5})


def test_export_is_half_precision_and_loads(tmp_path):
    from safetensors import safe_open

    Pretrainer(SMALL, tmp_path, data_sets={"drawn": 4, "tnbc": 2}).save()
    export_encoder(tmp_path, tmp_path / "encoder.safetensors")
    with safe_open(tmp_path / "encoder.safetensors", "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        said = file.metadata()
    licenses = json.loads(said["licenses"])
    assert (said["step"], licenses["drawn"]) == ("0", "not declared")
    assert licenses["tnbc"].startswith("CC BY 4.0")
    expected = load_encoder(tmp_path).state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert state[name].dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        torch.testing.assert_close(state[name].to(value.dtype), value, rtol=1e-3, atol=1e-4)


def test_batch_depends_on_seed_and_number_alone():
    sampler = CropSampler(drawn_fields(), 2, {}, locals_each=1)
    first, again = list(batches(sampler, 0, 3, 7))[2], next(batches(sampler, 2, 3, 7))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)


def test_student_sees_its_part_of_the_teachers_crop():
    batch = CropSampler(drawn_fields(), 2, {}, locals_each=4).batch(np.random.default_rng(3))
    rows, cols = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
    features = torch.stack([rows, cols], -1).expand(4, -1, -1, -1)
    for part, corner in zip(cut(features, batch.corner, 16), batch.corner, strict=True):
        assert part[0, 0].tolist() == (2 * corner).tolist()
        assert part.shape == (16, 16, 2)
    assert batch.teacher.shape == (4, 160, 160, 3)
    assert batch.student.shape == (4, 128, 128, 3)
    assert batch.local.shape == (8, 64, 64, 3)
    assert CropSampler(drawn_fields(), 2, {}).batch(np.random.default_rng(3)).local.shape == (0, 64, 64, 3)


def test_crop_shows_its_extent():
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    shown = crop(PackedField("ramp", "", 0.5, False, ramp), np.array([50.0, 50.0]), 1.0, 32)
    # 32 px of 1 um round 50 um are columns 68 to 132 of 0.5 um: two of them to a pixel.
    np.testing.assert_allclose(shown[5, :, 0], 68.5 + 2 * np.arange(32), atol=0.51)


def test_hidden_cells_get_the_mean_color():
    x = torch.rand(1, 3, 32, 32)
    hidden = torch.tensor([[[True, False], [False, False]]])
    out = hide(x, hidden)
    torch.testing.assert_close(out[0, :, :16, :16], x.mean((2, 3))[0, :, None, None].expand(3, 16, 16))
    assert torch.equal(out[..., 16:], x[..., 16:])


def test_balanced_assignment_uses_every_prototype():
    scores = torch.randn(400, 8) * 0.1
    scores[:, 0] += 0.5  # one prototype that all prefer
    share = balanced(scores)
    torch.testing.assert_close(share.sum(1), torch.ones(400))
    assert share.sum(0).min() > 0.8 * 400 / 8


@pytest.mark.parametrize("swapped", [False, True])
def test_crops_are_compared_with_the_other_crop(swapped):
    target = torch.eye(2)  # two global crops of one field, unlike assignments
    whole = (torch.eye(2).flip(0) if not swapped else torch.eye(2)) * 10
    local = torch.zeros(1, 2)
    loss = crops_loss(target, whole, local)
    alone = np.log(2) / 2  # the local crop's part: ln 2 for both targets, of four terms
    assert float(loss) == pytest.approx(alone + (50 if swapped else 0), abs=1e-3)


def test_correlation_counts_directions():
    alike = torch.randn(2, 1, 32, 32).expand(-1, 6, -1, -1)
    assert float(correlation(alike)) == pytest.approx(5, abs=0.01)  # one direction of six channels
    assert float(correlation(torch.randn(4, 6, 64, 64))) < 0.05


def test_patches_are_gray_and_line_up_with_the_teachers_crop():
    pixels = torch.randn(2, 3, 160, 160)
    corner = torch.tensor([[0, 2], [1, 1]])
    patches = gray_patches(pixels)
    assert patches.shape == (2, 20, 20, 64)
    own = pixels[1].mean(0)[16 + 8 : 16 + 16, 16:24].flatten()  # row 1, column 0 of the second one's part
    expected = (own - own.mean()) / (own.std() + 0.1)
    torch.testing.assert_close(patches[1, 3, 2], expected)
    assert float(detail_loss(cut(patches, corner, 16), pixels, corner)) == 0
    assert gray_patches(torch.ones(1, 3, 16, 16)).abs().max() < 1e-5


def test_probe_never_learns_from_the_source_it_is_asked_about():
    sources = np.repeat(["a", "b", "c"], 4)
    seen = []

    def probe(x, y, new):
        seen.append((set(x[:, 0]), set(new[:, 0])))
        return np.zeros(len(new))

    leave_sources_out(np.repeat([[1.0], [2.0], [3.0]], 4, axis=0), np.ones(12), sources, probe)
    assert all(not learned & asked for learned, asked in seen)
    assert r_squared(np.array([0.0, 1.0]), np.array([0.5, 0.5])) == 0


def test_probes_by_hand():
    x = np.array([[0, 0], [0, 1], [5, 5], [5, 6], [0, 0.5], [5, 5.5]], np.float32)
    y = np.array(["a", "a", "b", "b", "a", "b"])
    assert linear_probe(x, y, x).tolist() == y.tolist()
    assert macro_f1(np.array(["a", "a", "b"]), np.array(["a", "b", "b"])) == pytest.approx(2 / 3)
    many = np.concatenate([np.random.default_rng(0).normal(m, 0.1, (8, 2)) for m in (-1, 1)])
    labels = np.repeat(["a", "b"], 8)
    assert neighbors_probe(many.astype(np.float32), labels).tolist() == labels.tolist()


def test_a_signature_is_found_out():
    rng = np.random.default_rng(0)
    sources = np.repeat(["a", "b"], 40)
    signature = np.where(sources == "a", 1.0, -1.0)[:, None] + rng.normal(0, 0.1, (80, 2))
    assert source_hits(signature.astype(np.float32), sources, rng).all()
    noise = rng.normal(0, 1, (80, 2)).astype(np.float32)
    assert source_hits(noise, sources, rng).mean() < 0.8


def save_fields(root, rows):
    """A folder in our layout: pink images of 20 x 30 px."""
    for row in rows:
        save_png(root / row["file"], pink(20, 30))
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (root / "images.csv").write_text("\n".join(lines) + "\n")


def test_held_out_sources_are_those_that_their_data_sets_declare(tmp_path):
    row = {"image": "a", "file": "images/a.png", "organ": "", "source": "", "mpp": "0.25"}
    of = lambda name, **more: row | {"image": name, "file": f"images/{name}.png"} | more  # noqa: E731
    patients = ("TCGA-21-5784-01Z", "TCGA-50-5931-01Z")  # tuning, held out
    save_fields(tmp_path / "monuseg", [of(name[:12], source=name[:12]) for name in patients])
    # Its source is the organ, not what the column "source" says.
    organs = ("Breast", "Bile-duct")
    save_fields(tmp_path / "pannuke_figures", [of(organ.lower(), organ=organ) for organ in organs])
    (tmp_path / "pannuke_figures/nuclei.csv").write_text("image,id,x_px,y_px,label\n")
    save_fields(tmp_path / "unknown_data", [of("mine", mpp="")])
    learned = load_packed(tmp_path, tmp_path / "cache")
    assert {f.name for f in learned} == {"TCGA-21-5784", "breast", "mine"}
    every = load_packed(tmp_path, tmp_path / "cache", every=True)
    assert {f.name for f in every if f.held_out} == {"TCGA-50-5931", "bile-duct"}
    sizes = {f.data_set: (f.mpp, f.image.shape[:2]) for f in every}
    # 0.25 um/px is brought to 0.4; what says nothing counts as 0.5 um/px.
    assert sizes == {
        "monuseg": (0.4, (12, 19)),
        "pannuke_figures": (0.4, (12, 19)),
        "unknown_data": (0.5, (20, 30)),
    }


def test_tiles_of_a_section_have_tissue_in_their_middle(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "_SECTION_TILES", ((3, 0.5), (1, 2.0)))
    section = np.full((2100, 2200, 3), 255, np.uint8)
    section[900:1300, 1000:1500] = (150, 80, 160)
    (tmp_path / "slides").mkdir()
    Image.fromarray(section).save(tmp_path / packed.SECTION, format="PNG")
    found = load_packed(tmp_path, tmp_path / "cache")
    assert [(f.data_set, f.mpp, f.held_out) for f in found] == [
        *[("colon_section", 0.5, False)] * 3,
        ("colon_section", 2.0, False),
    ]
    assert all(f.image.shape == (512, 512, 3) for f in found)
    # At 0.5 um/px nothing is clipped: the middle is tissue, to the few px of the thumbnail's blur.
    assert all(np.ptp(f.image[246:266, 246:266].reshape(-1, 3).mean(0)) > 25 for f in found[:3])


def test_tiles_of_a_shared_folder_have_the_resolution_of_their_set(tmp_path):
    tile = {"image": "t", "file": "images/t.png", "label": "colon_n", "set": "LC25000 small"}
    save_fields(tmp_path / "tissue_tiles", [tile | {"organ": "colon", "source": "t", "mpp": ""}])
    (found,) = load_packed(tmp_path, tmp_path / "cache")
    assert (found.data_set, found.mpp, found.image.shape) == ("lc25000", 0.7, (20, 30, 3))


def test_every_name_of_the_face_is_there_and_is_no_module():
    assert not [name for name in encoders.__all__ if inspect.ismodule(getattr(encoders, name))]
