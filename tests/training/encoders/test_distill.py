"""A student of a teacher whose answers are known: it learns, it resumes, it is an encoder."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from helpers.resumed import assert_went_on, kept

from histome.cli import app
from histome.encoders import open_encoder
from histome.errors import UsageError
from histome.training.encoders import distill as room
from histome.training.encoders.distill import DistillRecipe, Imitation, TileSampler, distill, open_teacher
from histome.training.encoders.network import PlainEncoder
from histome.training.encoders.sources import TissueTiles, find_sources
from histome.training.heads.maps import open_maps

RECIPE = DistillRecipe(
    steps=45,
    decay_steps=10,
    learning_rate=0.05,
    batch=6,
    side_px=64,
    widths=(4, 8, 8, 8, 8),
    depths=(1, 1, 1, 1, 1),
    ema=0.5,
)


@pytest.fixture
def files(tmp_path, rng):
    """Fields that differ in color, so that a histogram of colors has something to say."""
    for k in range(4):
        pixels = rng.integers(0, 60, (150, 150, 3)) + np.array([180 - 40 * k, 40, 40 + 40 * k])
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{k}.png")
    return sorted(tmp_path.glob("*.png"))


def sampler(files, recipe=RECIPE):
    return TileSampler(TissueTiles(find_sources(files, 0.5)), recipe, 0.5)


def losses(folder):
    head, *rows = (folder / "log.csv").read_text().splitlines()
    return [dict(zip(head.split(","), map(float, row.split(",")), strict=True)) for row in rows]


def test_tiles_are_of_the_sources_and_follow_the_step_alone(files):
    tiles = sampler(files)
    first = tiles.batch(np.random.default_rng((1, 7)))
    assert (first.shape, first.dtype) == ((6, 64, 64, 3), torch.uint8)
    assert torch.equal(first, tiles.batch(np.random.default_rng((1, 7))))
    assert not torch.equal(first, tiles.batch(np.random.default_rng((1, 8))))


def test_the_losses_are_cosines_of_what_differs_between_tiles(rng):
    torch.manual_seed(0)
    net = Imitation(PlainEncoder((4, 8, 8, 8, 8), (1, 1, 1, 1, 1)), 5, (3, 3, 3)).eval()
    tiles = torch.from_numpy(rng.integers(0, 256, (4, 64, 64, 3), np.uint8))
    with torch.no_grad():
        mine = net.student(room.scale_pixels(tiles))[2:]
        said = net.vector(torch.cat([one.mean((2, 3)) for one in mine], 1))
        maps = [bring(one) for bring, one in zip(net.maps, mine, strict=True)]
        same = net(tiles, 7 * said, [3 * one for one in maps])
        assert set(net(tiles, said, [])) == {"vector"}
        turned = net(tiles, -said, [-one for one in maps])
    for name in ("vector", "tokens"):  # the norms have seen nothing yet: the teacher's values as they are
        assert same[name].item() == pytest.approx(0, abs=1e-3)
        assert turned[name].item() == pytest.approx(2, abs=1e-3)


@pytest.mark.slow
def test_a_student_learns_resumes_and_is_an_encoder(files, tmp_path):
    teacher = open_teacher("color-histogram")
    card = distill(teacher, sampler(files), tmp_path / "a", recipe=RECIPE, every=15)
    log = losses(tmp_path / "a")
    assert log[-1]["vector"] < log[0]["vector"] - 0.1
    assert log[-1]["tokens"] < log[0]["tokens"] - 0.04
    encoder = open_encoder(card)
    assert encoder.card.name == "distilled-color-histogram"
    tiles = np.zeros((2, 224, 224, 3), np.uint8)
    assert encoder(tiles).shape == (2, 24)
    assert open_maps(str(tmp_path / "a")).channels == (8, 8, 8, 8)

    class Killed(TileSampler):
        left = 44

        def batch(self, rng):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return super().batch(rng)

    with pytest.raises(KeyboardInterrupt):
        distill(teacher, Killed(sampler(files).tiles, RECIPE, 0.5), tmp_path / "b", recipe=RECIPE)
    cut = kept(tmp_path / "b")
    assert cut["step"] == 40
    distill(teacher, sampler(files), tmp_path / "b", recipe=RECIPE)
    assert_went_on(cut, kept(tmp_path / "b"), kept(tmp_path / "a"))
    with pytest.raises(UsageError, match="from another recipe"):
        distill(teacher, sampler(files), tmp_path / "b", recipe=replace(RECIPE, seed=2))


@pytest.mark.slow
def test_a_teacher_without_maps_teaches_its_vectors(files, tmp_path):
    card = distill(
        open_teacher("color-histogram"), sampler(files), tmp_path / "a", recipe=replace(RECIPE, steps=2)
    )
    teacher = open_teacher(str(card))
    assert teacher.maps is None
    small = replace(RECIPE, steps=2, side_px=224, batch=2)
    distill(teacher, sampler(files, small), tmp_path / "b", recipe=small, every=1)
    assert "tokens" not in losses(tmp_path / "b")[0]


@pytest.mark.slow
def test_the_command_teaches(files, tmp_path):
    words = ["train", "distill", *map(str, files), "--teacher", "color-histogram", "--mpp", "0.5"]
    done = CliRunner().invoke(app, [*words, "--steps", "1", "--batch", "2", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert open_encoder(tmp_path / "out" / "encoder.toml").card.dimension == 672
