"""Pretraining of an encoder without labels: its recipe, its trainer and the export."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from histome.datasets.declared import declaration_of
from histome.training.checkpoint import CHECKPOINT, Stateful
from histome.training.encoders.crops import CropBatch, CropSampler
from histome.training.encoders.network import DEPTHS, WIDTHS, PlainEncoder
from histome.training.encoders.objective import (
    DENSE_PX,
    TEACHER_TEMPERATURE,
    Distilled,
    balanced,
    correlation,
    crops_loss,
    cut,
    dense,
    dense_loss,
    detail_loss,
    entropy,
    feature_std,
    hide,
    pooled,
    spread_loss,
)
from histome.training.encoders.packed import PackedField
from histome.training.loop import Trainer, batches, flushed_subnormals, run
from histome.training.networks import on_device, scale_pixels

# Earlier scores of the teacher that the pooled assignment is balanced with: a batch alone has too few.
_QUEUE = 512
# Local crops of a field, where the pooled term looks at them.
_LOCALS = 4
_SAVE_EVERY = 100

Probe = Callable[[PlainEncoder], Mapping[str, float]]


@dataclass(frozen=True)
class TermWeights:
    """Weights of the terms of `objective`; the pooled ones are not computed where they are 0.

    They are 0 because of a run with `pooled` 0.5, `spread` 0.05, the others as here and `detail` on strides 8
    and 16 alone, stopped on the way: 1,500 of 3,600 steps of 16 fields, one seed. Its probes, beside those of
    the encoder untrained and of a histogram of colors:

    | | trained | untrained | colors | n |
    |---|---|---|---|---|
    | kind of nuclei, macro F1, strides 4 to 32 | .537 | .703 | .775 | 11,378 |
    | kind of nuclei, macro F1, strides 4 and 8 | .763 | .750 | .775 | 11,378 |
    | cover by nuclei, R2, strides 4 to 32 | .306 | .459 | .332 | 11,000 |
    | cover by nuclei, R2, strides 4 and 8 | .489 | .463 | .332 | 11,000 |
    | tiles of tissue, accuracy of neighbors | .810 | .655 | .702 | 84 |
    | source of nuclei, accuracy, stride 32 (1,609 steps) | .946 | .715 | .768 | 5,689 |

    So the coarse features became the slide's signature, which tells tiles apart and does not carry over to
    nuclei of other slides. Of the terms of content only the pooled one reached stride 32; that it is the
    cause is concluded from this, not measured: no run without it was scored. A smaller weight is no way out,
    as AdamW scales the one gradient that a stage gets: a run with `pooled` 1 came to .944 (1,139 steps). Nor
    does the rest pay yet: its fine features tell kinds no better than a histogram of colors.

    Attributes
    ----------
    hidden, seen
        The teacher's assignment of a position that is masked, and of one that is not.
    detail
        Gray pixels of each position.
    correlation
        Squared correlations of the channels, summed over strides 8 to 32.
    pooled, spread
        The teacher's assignment of whole crops, and distance between the fields of a batch.
    """

    hidden: float = 1.0
    seen: float = 0.5
    detail: float = 1.0
    correlation: float = 0.003
    pooled: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True)
class PretrainRecipe:
    """All that decides how an encoder is pretrained.

    Attributes
    ----------
    steps, fields
        Length of the schedule, and fields a batch: two global crops of each.
    teacher
        Share of the teacher that stays at a step, at the start and at the end (cosine between).
    weights
        Of the terms of the loss.
    mix
        Data set -> share of the fields drawn; others get 0.02 each.
    """

    steps: int = 4000
    fields: int = 16
    widths: tuple[int, ...] = WIDTHS
    depths: tuple[int, ...] = DEPTHS
    prototypes: int = 512
    learning_rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 0.04
    teacher: tuple[float, float] = (0.99, 0.999)
    weights: TermWeights = TermWeights()
    seed: int = 1
    mix: dict[str, float] = field(
        default_factory=lambda: {
            **{"consep": 0.13, "monuseg": 0.13, "tnbc": 0.07, "monusac": 0.06, "crchistophenotypes": 0.08},
            **{"pannuke_figures": 0.14, "glas": 0.06, "wsss4luad": 0.05, "osteosarcoma": 0.04},
            **{"nct": 0.03, "kather": 0.01, "lc25000": 0.03, "segpath_web": 0.03, "ocdc10": 0.04},
            **{"camelyon32": 0.04, "gtex_adipose": 0.02, "nucls15": 0.02, "puma_roi094": 0.02},
            **{"dsb2018_purple": 0.01, "colon_section": 0.10},
        }
    )

    def cosine(self, step: int, start: float, end: float) -> float:
        """`start` at step 0, `end` at the last, a half cosine between."""
        done = min(1.0, step / self.steps)
        return end + (start - end) * (1 + math.cos(math.pi * done)) / 2

    def rate(self, step: int) -> float:
        """Learning rate: a linear warm-up, then a cosine to a hundredth."""
        top = self.learning_rate
        return self.cosine(step, top, top / 100) * min(1.0, (step + 1) / self.warm_up)


class Assignments(NamedTuple):
    """The teacher's: dense (2n, 16, 16, K), pooled (2n, K) where that term is on."""

    dense: Tensor
    pooled: Tensor | None


def _groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Weights of convolutions and layers decay; norms, biases and prototypes do not."""
    parameters = dict(net.named_parameters())
    decayed = [p for name, p in parameters.items() if p.ndim > 1 and "prototypes" not in name]
    others = [p for name, p in parameters.items() if p.ndim <= 1 or "prototypes" in name]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _soft(scores: Tensor) -> Tensor:
    return torch.softmax(scores / TEACHER_TEMPERATURE, -1)


def _pixels(image: Tensor) -> Tensor:
    return scale_pixels(image).contiguous(memory_format=torch.channels_last)


class Pretrainer(Trainer):
    """Trains a student; its teacher, an average of it, and the teacher's earlier scores go with it.

    Parameters
    ----------
    data_sets : mapping of str to int
        Number of fields of each data set that is learned from: kept with the weights, and the same in a run
        that goes on.
    """

    clip_norm = 3.0
    net: Distilled

    def __init__(
        self,
        recipe: PretrainRecipe,
        folder: Path,
        device: str = "cpu",
        *,
        data_sets: Mapping[str, int] | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        student = Distilled(PlainEncoder(recipe.widths, recipe.depths), recipe.prototypes)
        on_device(student, device)
        self.recipe, self.teacher = recipe, deepcopy(student).requires_grad_(False)
        optimizer = torch.optim.AdamW(_groups(student, recipe.weight_decay))
        settings = {"recipe": asdict(recipe), "data_sets": dict(data_sets or {})}
        super().__init__(student, optimizer, folder, device=device, settings=settings)

    @property
    def parts(self) -> dict[str, Stateful]:
        """What has a state: the teacher too."""
        return super().parts | {"teacher": self.teacher}

    def numbers(self) -> dict[str, Any]:
        """The step and the teacher's earlier scores."""
        return super().numbers() | {"queue": self.queue}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take up the step and the scores."""
        super().restore(numbers)
        none = torch.zeros((0, self.recipe.prototypes), device=self.device)
        self.queue: Tensor = numbers.get("queue", none)

    @torch.no_grad()
    def _assign(self, batch: CropBatch) -> tuple[Assignments, dict[str, float]]:
        """The teacher's assignments; how spread they and its features are."""
        # Its norms use the batch, as the student's do. bfloat16 halves the time here; backward it trebles it.
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            maps = self.teacher.encoder(_pixels(batch.teacher))
        features = cut(dense(maps), batch.corner, batch.student.shape[1] // DENSE_PX)
        scores = self.teacher.dense_head(features)
        places = balanced(scores.flatten(0, 2)).view(scores.shape)
        measures = {
            "entropy": entropy(places.flatten(0, 2)),
            "entropy_used": entropy(_soft(scores).mean((0, 1, 2))[None]),
            "std": feature_std(features),
            "std_pooled": feature_std(pooled(maps)),
        }
        return Assignments(places, self._assign_pooled(maps)), measures

    def _assign_pooled(self, maps: list[Tensor]) -> Tensor | None:
        if not self.recipe.weights.pooled:
            return None
        scores = self.teacher.pooled_head(pooled(maps))
        queue = torch.cat([scores, self.queue])
        self.queue = queue[:_QUEUE].clone()
        return balanced(queue)[: len(scores)]

    def _losses(self, batch: CropBatch, assigned: Assignments) -> dict[str, Tensor]:
        """Each term that counts, by its name in `TermWeights`, not yet weighted."""
        net = self.net
        maps = net.encoder(hide(_pixels(batch.student), batch.hidden))
        hidden, seen = dense_loss(assigned.dense, net.dense_head(dense(maps)), batch.hidden)
        found = net.detail_head(dense(maps, net.encoder.strides[-1]))
        losses = {
            "hidden": hidden,
            "seen": seen,
            "detail": detail_loss(found, _pixels(batch.teacher), batch.corner),
            "correlation": torch.stack([correlation(m) for m in maps[2:]]).sum(),
        }
        if assigned.pooled is not None:
            local = net.pooled_head(pooled(net.encoder(_pixels(batch.local))))
            losses["pooled"] = crops_loss(assigned.pooled, net.pooled_head(pooled(maps)), local)
        if self.recipe.weights.spread:
            losses["spread"] = torch.stack([spread_loss(half) for half in pooled(maps).chunk(2)]).sum()
        return losses

    def update(self, batch: CropBatch) -> dict[str, float]:
        """One step of the optimizer and of the teacher; returns the terms and measures of collapse."""
        self.set_rate(self.recipe.rate(self.step))
        batch = CropBatch(*(part.to(self.device, non_blocking=True) for part in batch))
        assigned, measures = self._assign(batch)
        losses = self._losses(batch, assigned)
        weights = asdict(self.recipe.weights)
        self.optimizer.zero_grad()
        torch.stack([weights[name] * loss for name, loss in losses.items()]).sum().backward()
        stays = self.recipe.cosine(self.step, *self.recipe.teacher)
        self.descend()
        self._follow(stays)
        return {name: loss.item() for name, loss in losses.items()} | measures

    @torch.no_grad()
    def _follow(self, stays: float) -> None:
        """Move the teacher's weights towards the student's; its norms count their own batches."""
        for mine, new in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            mine.lerp_(new, 1 - stays)


@flushed_subnormals()
def pretrain(
    recipe: PretrainRecipe,
    fields: Sequence[PackedField],
    folder: Path,
    *,
    device: str = "cpu",
    probe: Probe | None = None,
    every: int = 250,
) -> PlainEncoder:
    """Train until `recipe.steps`, resuming from `folder`; returns the teacher's encoder.

    Writes folder/checkpoint.pt and, every `every` steps, a line of folder/log.csv: step, seconds, the terms,
    measures of collapse and what the probe says.
    """
    data_sets = dict(sorted(Counter(f.data_set for f in fields).items()))
    trainer = Pretrainer(recipe, folder, device, data_sets=data_sets)
    trainer.net.train()
    trainer.teacher.train()
    locals_each = _LOCALS if recipe.weights.pooled else 0
    sampler = CropSampler(fields, recipe.fields, recipe.mix, locals_each=locals_each)
    ready = batches(sampler, trainer.step, recipe.steps, recipe.seed)

    def evaluate() -> Mapping[str, float]:
        scores = probe(trainer.teacher.encoder.eval()) if probe else {}
        trainer.teacher.train()
        return scores

    log = folder / "log.csv"
    run(trainer, ready, recipe.steps, every=every, evaluate=evaluate, save_every=_SAVE_EVERY, log=log)
    return trainer.teacher.encoder.eval()


def _checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")


def _encoder_of(state: Mapping[str, Any]) -> PlainEncoder:
    encoder, prefix = PlainEncoder(state["recipe"]["widths"], state["recipe"]["depths"]), "encoder."
    own = {k.removeprefix(prefix): v for k, v in state["teacher"].items() if k.startswith(prefix)}
    encoder.load_state_dict(own)
    return encoder.eval()


def load_encoder(folder: Path) -> PlainEncoder:
    """The averaged encoder of a run's last checkpoint."""
    return _encoder_of(_checkpoint(folder))


def export_encoder(folder: Path, path: Path) -> None:
    """Write the averaged encoder of a run as half precision safetensors (8 MB).

    Its metadata say the step, the length of the schedule, and the data sets with their declared licenses.
    """
    state = _checkpoint(folder)
    tensors = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in _encoder_of(state).state_dict().items()
    }
    licenses = {name: declaration_of(name).license or "not declared" for name in state["data_sets"]}
    steps = {"step": str(state["step"]), "steps": str(state["recipe"]["steps"])}
    save_file(tensors, path, metadata=steps | {"licenses": json.dumps(licenses)})
