"""Distillation: a small plain encoder learns what a large one says of tiles, without labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from histome.encoders import OpenedEncoder, open_encoder
from histome.errors import UsageError
from histome.threads import available_cpus, ordered_map
from histome.training.augment import appearance
from histome.training.encoders.export import TileVector, export_tile_encoder
from histome.training.encoders.network import DEPTHS, WIDTHS, PlainEncoder, load_student
from histome.training.encoders.sources import TissueTiles, find_sources
from histome.training.encoders.views import turn
from histome.training.heads.maps import FrozenMaps, open_maps
from histome.training.loop import Trainer, batches, flushed_subnormals, learning_rate, run
from histome.training.networks import on_device, scale_pixels


@dataclass(frozen=True)
class DistillRecipe:
    """All that decides how a student is taught.

    Attributes
    ----------
    vector, tokens : float
        Weights of the two losses.
    """

    steps: int = 4000
    decay_steps: int = 1500
    restarts: tuple[int, ...] = ()
    batch: int = 16
    side_px: int = 224
    learning_rate: float = 1e-3
    weight_decay: float = 0.04
    ema: float = 0.99
    seed: int = 1
    widths: tuple[int, ...] = WIDTHS
    depths: tuple[int, ...] = DEPTHS
    vector: float = 1.0
    tokens: float = 1.0


class Teacher(NamedTuple):
    """Who is imitated: its vectors, and its maps where they can be read."""

    vectors: OpenedEncoder
    maps: FrozenMaps | None


class TileSampler:
    """Tiles of slides and fields at one um/px, turned, their colors changed."""

    def __init__(self, tiles: TissueTiles, recipe: DistillRecipe, mpp: float) -> None:
        self.tiles, self.recipe, self.mpp = tiles, recipe, mpp

    def _tile(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        tile = self.tiles.read(rng, self.recipe.side_px, lambda slide, rng: self.mpp)
        return turn(appearance(tile, rng), rng)

    def batch(self, rng: np.random.Generator) -> Tensor:
        """(batch, side, side, 3) uint8."""
        tiles = ordered_map(self._tile, rng.spawn(self.recipe.batch), available_cpus())
        return torch.from_numpy(np.stack(list(tiles)))


class Imitation(nn.Module):
    """A student and what brings its vector and maps to the size of the teacher's.

    Parameters
    ----------
    student : PlainEncoder
        What is taught.
    dimension : int
        Of the teacher's vector.
    channels : sequence of int
        Of the teacher's maps at strides 8 to 32; none where they cannot be read.
    """

    def __init__(self, student: PlainEncoder, dimension: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.student, widths = student, student.widths[2:]
        self.vector = nn.Linear(sum(widths), dimension)
        self.maps = nn.ModuleList(nn.Conv2d(w, c, 1) for w, c in zip(widths, channels, strict=False))
        # A teacher's values have sizes of their own: each counts by how it differs between tiles.
        self.vector_norm = nn.BatchNorm1d(dimension, affine=False)
        self.map_norms = nn.ModuleList(nn.BatchNorm2d(c, affine=False) for c in channels)

    def forward(self, tiles: Tensor, vectors: Tensor, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Losses: 1 less the cosine of the vectors, and of the maps at each place."""
        mine = self.student(scale_pixels(tiles))[2:]
        pooled = torch.cat([one.mean((2, 3)) for one in mine], 1)
        losses = {"vector": _apart(self.vector(pooled), self.vector_norm(vectors))}
        if maps:
            parts = zip(self.maps, self.map_norms, mine, maps, strict=True)
            apart = [_apart(bring(a), norm(b)) for bring, norm, a, b in parts]
            losses["tokens"] = torch.stack(apart).mean()
        return losses


def _apart(mine: Tensor, theirs: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(mine, theirs, dim=1).mean()


class Distiller(Trainer):
    """Teaches a student."""

    def __init__(self, teacher: Teacher, recipe: DistillRecipe, folder: Path, *, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.teacher, self.recipe = teacher, recipe
        net = Imitation(PlainEncoder(recipe.widths, recipe.depths), self._dimension(), self._channels())
        on_device(net, device)
        if teacher.maps is not None:
            teacher.maps.to(device)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=recipe.weight_decay)
        settings = {"recipe": asdict(recipe), "teacher": teacher.vectors.card.name}
        super().__init__(net, optimizer, folder, device=device, ema=recipe.ema, settings=settings)

    def _dimension(self) -> int:
        side = self.recipe.side_px
        return self.teacher.vectors(np.zeros((1, side, side, 3), np.uint8)).shape[1]

    def _channels(self) -> tuple[int, ...]:
        return () if self.teacher.maps is None else self.teacher.maps.channels[1:]

    def update(self, batch: Tensor) -> dict[str, float]:
        """One optimizer step on tiles."""
        self.set_rate(learning_rate(self.step, self.recipe))
        vectors = torch.from_numpy(self.teacher.vectors(batch.numpy())).to(self.device)
        tiles = batch.to(self.device)
        maps: list[Tensor] = []
        if self.teacher.maps is not None:
            with torch.no_grad():
                maps = self.teacher.maps(tiles.permute(0, 3, 1, 2).float())[1:]
        losses = self.net(tiles, vectors, maps)
        weights = {"vector": self.recipe.vector, "tokens": self.recipe.tokens}
        self.optimizer.zero_grad()
        torch.stack([weights[name] * loss for name, loss in losses.items()]).sum().backward()
        self.descend()
        return {name: loss.item() for name, loss in losses.items()}


@flushed_subnormals()
def distill(
    teacher: Teacher,
    sampler: TileSampler,
    folder: Path,
    *,
    recipe: DistillRecipe,
    device: str = "cpu",
    every: int = 100,
) -> Path:
    """Teach until `recipe.steps`, resuming from `folder`; returns the student's card, folder/encoder.toml.

    Writes folder/checkpoint.pt and, every `every` steps, a line of folder/log.csv with the losses.
    """
    trainer = Distiller(teacher, recipe, folder, device=device)
    trainer.net.train()
    ready = batches(sampler, trainer.step, recipe.steps, recipe.seed)
    run(trainer, ready, recipe.steps, every=every, save_every=20, log=folder / "log.csv")
    return export_student(folder, recipe, teacher.vectors.card.name)


def distill_slides(
    paths: Sequence[Path],
    out: Path,
    *,
    teacher: str,
    recipe: DistillRecipe,
    mpp: float | None = None,
    device: str | None = None,
) -> Path:
    """Teach a student on tiles of slides and fields, at the teacher's um/px and side; returns its card.

    Parameters
    ----------
    paths : sequence of Path
        Slides, fields, and folders with images.csv.
    teacher : str
        NAME or NAME=WEIGHTS.
    recipe : DistillRecipe
        Its `side_px` is the teacher's.
    mpp : float, um/px, or None
        Of the files, in place of what they say.
    """
    name, _, weights = teacher.partition("=")
    on = device or ("cuda" if torch.cuda.is_available() else "cpu")
    opened = open_teacher(name, Path(weights) if weights else None, device=on)
    card = opened.vectors.card
    recipe = replace(recipe, side_px=card.input_px or recipe.side_px)
    tiles = TissueTiles(find_sources(paths, mpp))
    return distill(opened, TileSampler(tiles, recipe, card.mpp or 0.5), out, recipe=recipe, device=on)


def open_teacher(name: str, weights: Path | None = None, *, device: str = "cpu") -> Teacher:
    """Return an encoder that can be imitated; its maps too where timm, transformers or histome made it."""
    vectors = open_encoder(name, weights, device=device)
    try:
        return Teacher(vectors, open_maps(name, weights))
    except UsageError:
        return Teacher(vectors, None)


def export_student(folder: Path, recipe: DistillRecipe, teacher: str) -> Path:
    """Write the averaged student of a run's last checkpoint as an encoder of tiles; returns its card."""
    student = TileVector(load_student(folder, recipe.widths, recipe.depths))
    about = f"PlainEncoder that imitates {teacher}: means of its maps of strides 8 to 32."
    return export_tile_encoder(student, folder, name=f"distilled-{teacher}", about=about)
