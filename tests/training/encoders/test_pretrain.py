"""Pretraining on small drawn fields: what is shown, that it learns, resumes, and is an encoder afterwards."""

import csv
import inspect
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("lightly", reason="pretraining needs the [pretrain] extra")

from helpers.resumed import assert_went_on, kept

from histome.cli import app
from histome.encoders import open_encoder
from histome.errors import DataError, UsageError
from histome.slide import open_slide
from histome.training import encoders
from histome.training.encoders.dino import Branch, Losses, Said, likeness
from histome.training.encoders.pretraining import Pretrainer, PretrainRecipe, load_encoder, pretrain
from histome.training.encoders.sources import TissueTiles, any_mpp, find_sources
from histome.training.encoders.views import ViewSampler, hidden_patches, view
from histome.training.heads.maps import open_maps
from histome.training.loop import batches
from histome.training.processes import Worker

pytestmark = pytest.mark.slow

SMALL = PretrainRecipe(
    steps=6,
    model="test_vit",
    batch=2,
    side_px=64,
    local_px=32,
    locals_each=2,
    mpp=(0.5, 1.0),
    prototypes=32,
)
ALONE = Worker(0, 1, "cpu")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Four fields in a folder with images.csv: purple discs on pink, as many as the field's number says."""
    folder = tmp_path_factory.mktemp("fields")
    rng, side = np.random.default_rng(0), 200
    rows, cols = np.mgrid[:side, :side]
    lines = ["image,file,mpp"]
    for k in range(4):
        image = np.full((side, side, 3), (225, 170, 200), np.uint8)
        for y, x in rng.uniform(0, side, (20 * (k + 1), 2)):
            image[(rows - y) ** 2 + (cols - x) ** 2 < (4 + 2 * k) ** 2] = (90, 50, 130)
        Image.fromarray(image).save(folder / f"{k}.png")
        lines.append(f"{k},{k}.png,{0.5 if k else ''}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


def rows_of(path):
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def sampler(fields, recipe=SMALL, workers=1):
    return ViewSampler(TissueTiles(find_sources([fields], 0.4)), recipe, workers)


def test_sources_are_files_and_what_a_folder_lists(fields, tmp_path):
    found = find_sources([fields, fields / "1.png"], 0.4)
    assert [source.mpp for source in found] == [0.4, 0.5, 0.5, 0.5, 0.4]
    assert {source.folder for source in found} == {str(fields)}
    with pytest.raises(UsageError, match=r"no images\.csv; give the files of slides"):
        find_sources([tmp_path])
    with pytest.raises(UsageError, match="no such slide"):
        find_sources([tmp_path / "none.svs"])
    with pytest.raises(UsageError, match="no slides and no fields"):
        find_sources([])


@pytest.mark.parametrize("said", ["nan", "abc", "-1"])
def test_a_resolution_that_no_field_has_is_told_with_file_and_line(tmp_path, said):
    (tmp_path / "images.csv").write_text(f"image,file,mpp\n0,0.png,\n1,1.png,{said}\n")
    with pytest.raises(
        DataError, match=rf"images\.csv: line 3: mpp is '{said}'.*give the image's um/px there"
    ):
        find_sources([tmp_path])


def test_a_folder_is_drawn_by_the_root_of_its_number(tmp_path):
    """One red field in a folder, four blue ones in another: a third of the tiles is red."""
    for name, count, color in (("a", 1, (200, 20, 20)), ("b", 4, (20, 20, 200))):
        (tmp_path / name).mkdir()
        for k in range(count):
            Image.new("RGB", (40, 40), color).save(tmp_path / name / f"{k}.png")
    tiles = TissueTiles(find_sources(sorted(tmp_path.glob("*/*.png")), 0.5))
    rng = np.random.default_rng(0)
    red = np.mean([tiles.read(rng, 16, lambda *_: 0.5)[..., 0].mean() > 100 for _ in range(600)])
    assert red == pytest.approx(1 / 3, abs=0.06)  # 3 standard errors


def test_tiles_have_tissue_in_their_middle_and_the_asked_extent(tmp_path):
    section = np.full((1100, 1200, 3), 255, np.uint8)
    section[500:700, 600:850] = (150, 80, 160)
    Image.fromarray(section).save(tmp_path / "s.png")
    tiles, rng = TissueTiles(find_sources([tmp_path / "s.png"], 0.5)), np.random.default_rng(0)
    shown = [tiles.read(rng, 64, lambda *_: 1.0) for _ in range(20)]
    assert all(np.ptp(tile[28:36, 28:36].reshape(-1, 3).mean(0)) > 25 for tile in shown)
    # 250 px of 0.5 um/px are 125 px of 1 um/px: in 300 px the block is whole.
    whole = tiles.read(rng, 300, lambda *_: 1.0)
    assert (whole[..., 1] < 150).any(0).sum() == pytest.approx(125, abs=2)


def test_magnifications_are_even_by_their_logarithm_and_what_the_slide_shows(fields):
    with open_slide(fields / "1.png", mpp=0.5) as slide:  # 100 um wide
        rng, choose = np.random.default_rng(0), any_mpp((0.25, 2.0), 100)
        drawn = np.array([choose(slide, rng) for _ in range(2000)])
        assert any_mpp((0.25, 2.0), 1000)(slide, rng) == pytest.approx(0.1)  # all of it, no more
    assert drawn.min() >= 0.85 * 0.5
    assert drawn.max() <= 1.0
    middle = np.sqrt(0.425 * 1.0)
    assert (drawn < middle).mean() == pytest.approx(0.5, abs=0.04)


def test_views_follow_the_seed_alone_and_one_of_two_is_hidden_in_part(fields):
    batch = sampler(fields).batch(np.random.default_rng((1, 7)))
    again = sampler(fields, workers=3).batch(np.random.default_rng((1, 7)))
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
    assert batch.whole.shape == (4, 64, 64, 3)
    assert batch.local.shape == (4, 32, 32, 3)
    share = batch.hidden.float().mean((1, 2)).view(2, 2)
    assert ((share > 0).sum(0) == 1).all()
    none = sampler(fields, replace(SMALL, locals_each=0)).batch(np.random.default_rng(1))
    assert none.local.shape == (0, 32, 32, 3)
    shares = [hidden_patches(np.random.default_rng(k), 14).mean() for k in range(50)]
    assert min(shares) >= 0.15
    assert max(shares) < 0.8


def test_a_view_is_a_part_of_the_tile(monkeypatch):
    monkeypatch.setattr("histome.training.encoders.views.appearance", lambda image, rng: image)
    monkeypatch.setattr("histome.training.encoders.views.recolor", lambda image, rng: image)
    tile = np.zeros((100, 100, 3), np.uint8)
    tile[..., 0], tile[..., 1] = np.arange(100), np.arange(100)[:, None]
    rng = np.random.default_rng(0)
    widths = [np.ptp(view(tile, 32, (0.5, 2.0), rng)[..., 0].astype(int)) for _ in range(40)]
    assert min(widths) < 20
    assert max(widths) > 50  # 16 to 64 of the tile's pixels


def said(n, k=8, d=4):
    return Said(torch.zeros(2 * n, k), torch.zeros(n, k), torch.zeros(3, k), torch.randn(2 * n, d))


def test_the_teacher_is_never_asked_about_its_own_view():
    """Two large views that the teacher tells apart: what a student says of one is asked of the other."""
    losses = Losses(2, 0.0, 0.0)
    one = 10 * torch.eye(2)  # the first view is of prototype 0, the second of 1
    empty = torch.zeros(0, 2)
    same, other = (Said(student, empty, empty, one) for student in (one, one.flip(0)))
    teacher = Said(one / 10, empty, empty, one)
    hidden = torch.zeros(2, 1, 1, dtype=torch.bool)
    assert float(losses(other, teacher, hidden, 0.04)["views"]) < 0.01
    assert float(losses(same, teacher, hidden, 0.04)["views"]) > 50


def test_terms_of_weight_zero_are_not_computed():
    hidden = torch.zeros(4, 2, 2, dtype=torch.bool)
    hidden[0, 0] = hidden[1, 1, 0] = True
    assert set(Losses(8, 0.0, 0.0)(said(2), said(2), hidden, 0.04)) == {"views"}
    found = Losses(8, 1.0, 0.1)
    terms = found(said(2), said(2), hidden, 0.04)
    assert set(terms) == {"views", "patches", "spread"}
    # Nothing is known: ln 8 of a view; of patches the same, of the two crops of four that have some.
    assert float(terms["views"]) == pytest.approx(np.log(8), abs=1e-5)
    assert float(terms["patches"]) == pytest.approx(np.log(8) / 2, abs=1e-5)
    total = terms["views"] + terms["patches"] + 0.1 * terms["spread"]
    assert float(found.total(terms)) == pytest.approx(float(total), abs=1e-5)


def test_hidden_patches_are_not_seen():
    torch.manual_seed(0)
    branch = Branch("test_vit", 64, 8, patches=True, frozen=0).eval()
    pixels = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    hidden = torch.zeros(2, 4, 4, dtype=torch.bool)
    hidden[:, 1, 2] = True
    changed = pixels.clone()
    changed[:, 16:32, 32:48] = 255 - changed[:, 16:32, 32:48]
    none = pixels[:0]
    with torch.no_grad():
        a, b = branch(pixels, none, hidden), branch(changed, none, hidden)
        seen, also = branch(pixels, none, hidden, mask=False), branch(changed, none, hidden, mask=False)
    assert torch.equal(a.whole, b.whole)
    assert a.patches.shape == (2, 8)
    assert not torch.allclose(seen.whole, also.whole)


def test_likeness_by_hand():
    assert likeness(torch.ones(5, 3)) == pytest.approx(1, abs=1e-6)
    assert likeness(torch.eye(3)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("method", ["dino", "dinov2"])
def test_loss_falls(tmp_path, monkeypatch, method):
    """Fields of four colors, which views keep here: there is something to be learned in a minute."""
    for change in ("recolor", "appearance"):
        monkeypatch.setattr(f"histome.training.encoders.views.{change}", lambda image, rng: image)
    rng = np.random.default_rng(0)
    for k in range(4):
        pixels = rng.integers(0, 60, (150, 150, 3)) + np.array([180 - 40 * k, 40, 40 + 40 * k])
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{k}.png")
    recipe = replace(SMALL, method=method, steps=48, learning_rate=4e-3, batch=6, teacher=0.95)
    made = ViewSampler(TissueTiles(find_sources(sorted(tmp_path.glob("*.png")), 0.5)), recipe)
    trainer = Pretrainer(recipe, tmp_path / "out", ALONE)
    rows = [trainer.update(batch) for batch in batches(made, 0, 48, 0)]
    for name in ("views", "likeness", *(["patches"] if method == "dinov2" else [])):
        first, last = (np.mean([row[name] for row in part]) for part in (rows[:12], rows[-12:]))
        assert last < first - 0.05, (name, first, last)


def test_a_run_that_was_killed_and_resumed_equals_an_undisturbed_one(fields, tmp_path, monkeypatch):
    sources = find_sources([fields], 0.4)
    card = pretrain(sources, tmp_path / "whole", SMALL, every=2)
    update, calls = Pretrainer.update, []

    def killed(self, batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return update(self, batch)

    monkeypatch.setattr(Pretrainer, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain(sources, tmp_path / "parts", SMALL, every=2)
    monkeypatch.setattr(Pretrainer, "update", update)
    cut = kept(tmp_path / "parts")
    pretrain(sources, tmp_path / "parts", SMALL, every=2)
    assert_went_on(cut, kept(tmp_path / "parts"), kept(tmp_path / "whole"))
    assert [row["step"] for row in rows_of(tmp_path / "parts" / "log.csv")] == [2, 4, 6]
    with pytest.raises(UsageError, match="from another recipe or other data"):
        pretrain(sources[1:], tmp_path / "parts", SMALL)
    with pytest.raises(UsageError, match="give the finer one first"):
        pretrain(sources, tmp_path / "none", replace(SMALL, mpp=(2.0, 0.5)))

    # What comes out is an encoder: the teacher's class token.
    tiles = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    opened = open_encoder(card)
    encoder = load_encoder(tmp_path / "whole")[0]
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (opened.card.mean, opened.card.std))
    pixels = (torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.inference_mode():
        wanted = encoder.forward_features(pixels)[:, 0].numpy()
    np.testing.assert_allclose(opened(tiles), wanted, rtol=1e-3, atol=1e-4)
    assert (opened.card.name, opened.card.dimension, opened.card.input_px) == ("whole", 64, 64)
    assert "for 6 of 6 steps on tiles of 4 slides" in opened.card.about
    # A head reads its maps.
    assert open_maps(str(tmp_path / "whole")).channels == (64, 64, 64, 64)


def test_weights_of_the_user_are_the_beginning(tmp_path):
    torch.manual_seed(5)
    made = Branch("test_vit", 64, 8, patches=False, frozen=0).backbone.vit
    torch.save(made.state_dict(), tmp_path / "mine.pth")
    trainer = Pretrainer(SMALL, tmp_path / "out", ALONE, weights=tmp_path / "mine.pth")
    trainer.save()
    with pytest.raises(UsageError, match="from another recipe or other data"):
        Pretrainer(SMALL, tmp_path / "out", ALONE)
    for vit in (trainer.net.backbone.vit, trainer.teacher.backbone.vit):
        assert torch.equal(vit.blocks[0].attn.qkv.weight, made.blocks[0].attn.qkv.weight)


def test_batch_depends_on_seed_number_and_rank_alone(fields):
    made = sampler(fields)
    first, again = list(batches(made, 0, 3, 7))[2], next(batches(made, 2, 3, 7))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.whole, next(batches(made, 2, 3, 7, 1)).whole)


TWO_PROCESSES = """
import sys, torch
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
from training.encoders.test_pretrain import SMALL
from histome.training.encoders.pretraining import Pretrainer, pretrain
from histome.training.encoders.sources import find_sources
kept = []
class Kept(Pretrainer):
    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        kept.append(self)
sys.modules["histome.training.encoders.pretraining"].Pretrainer = Kept
pretrain(find_sources([Path({fields!r})], 0.4), Path({out!r}), replace(SMALL, steps=2), every=2)
for part in (kept[0].net, kept[0].teacher):
    mine = torch.cat([p.detach().flatten() for p in part.state_dict().values()])
    both = [torch.empty_like(mine) for _ in range(2)]
    torch.distributed.all_gather(both, mine)
    assert kept[0].worker.processes == 2 and torch.equal(*both)
torch.distributed.destroy_process_group()
"""


def test_torchrun_trains_one_encoder_in_two_processes(fields, tmp_path):
    script, tests = tmp_path / "two.py", __file__.rsplit("/training/", 1)[0]
    script.write_text(TWO_PROCESSES.format(tests=tests, fields=str(fields), out=str(tmp_path / "out")))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    told = {"capture_output": True, "text": True, "timeout": 300, "check": False}
    done = subprocess.run([*torchrun, str(script)], env=os.environ | {"OMP_NUM_THREADS": "1"}, **told)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len((tmp_path / "out" / "log.csv").read_text().splitlines()) == 2  # written once
    assert done.stdout.count("step 2 of 2") == 1  # and told once


def test_the_command_pretrains(fields, tmp_path, monkeypatch):
    words = ["train", "encoder", str(fields), "--mpp", "0.5", "--model", "test_vit", "--steps", "1"]
    words += ["--batch", "2", "--method", "dino", "--finest", "0.3", "-o", str(tmp_path / "mine")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert open_encoder(tmp_path / "mine" / "encoder.toml").card.input_px == 224
    state = torch.load(tmp_path / "mine" / "checkpoint.pt", weights_only=True)
    assert (state["recipe"]["method"], state["recipe"]["mpp"]) == ("dino", (0.3, 2.0))
    words = [
        "train",
        "encoder",
        str(fields),
        "--mpp",
        "0.5",
        "--model",
        "resnet18",
        "-o",
        str(tmp_path / "b"),
    ]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UsageError)
    assert "resnet18" in str(done.exception)


def test_every_name_of_the_face_is_there_and_is_no_module():
    assert not [name for name in encoders.__all__ if inspect.ismodule(getattr(encoders, name))]
