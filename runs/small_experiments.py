"""What buys most for an hour of a core? The nuclei network of one recipe, one thing changed at a time.

    python runs/small_experiments.py --data ../shared/data --out runs/out/experiments

Every run begins from nothing and takes the same steps of as many pixels with the same seeds, on one thread.
It is scored on the tuning sources at one threshold (held-out fields are not looked at); its CPU hours are
those of training with the making of crops. NAME.json of each run is kept in runs/experiments: what is done is
not done again. `--times` prints what a step costs in other number formats and layouts.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from train_nuclei import THIRD

from histome.datasets.fields import IMAGE_MPP, Field, load_fields
from histome.datasets.splits import Split, split_fields
from histome.models.card import load_card
from histome.training import augment
from histome.training.augment import RgbImage
from histome.training.loop import Trainer, batches, flushed_subnormals, learning_rate, run
from histome.training.networks import UNet, conv_block, full_resolution, on_device, scale_pixels, strided_maps
from histome.training.nuclei.follow import find_with
from histome.training.nuclei.from_onnx import network_of
from histome.training.nuclei.train import Recipe, Sampler, losses, make_network
from histome.training.tissue.network import TissueNetwork
from histome.validation.nuclei import rounded, score_field, score_tables

HERE = Path(__file__).parent
Losses = dict[str, Tensor]
# An outline is this many pixels wide, and weighs this much more than the rest.
_OUTLINE_PX, _OUTLINE_WEIGHT = 3, 4.0
_HIDDEN_PX, _HIDDEN_SHARE = 16, 0.5
_EMA = 0.98
# From which a teacher's norms are restored.
_IMAGES = 16


@dataclass(frozen=True)
class Trial:
    """What one run changes.

    Attributes
    ----------
    recipe : Mapping[str, object]
        Fields of the recipe.
    network : Callable[[Recipe], nn.Module]
        The network.
    add : Callable or None
        Losses besides: some images -> outputs, parts of the batch -> by name.
    mpp : float
        Resolution of the pixels, um/px; outlines are learned and found there.
    stain : float
        Strength of the changes of the stain, of that of the recipe.
    repeated : int
        Steps that learn from one batch.
    hidden_first : bool
        Learn first, for as many steps, to fill in squares that are hidden, without labels.
    """

    recipe: Mapping[str, object] = field(default_factory=dict)
    network: Callable[[Recipe], nn.Module] = make_network
    add: Callable[[Sequence[RgbImage]], Callable[[Losses, list[Tensor]], Losses]] | None = None
    mpp: float = IMAGE_MPP
    stain: float = 1.0
    repeated: int = 1
    hidden_first: bool = False


class Encoded(nn.Module):
    """The heads of the recipe on the encoder of the tissue network, EfficientNet-lite0 of ImageNet."""

    def __init__(self, recipe: Recipe, *, frozen: bool) -> None:
        super().__init__()
        heads = make_network(recipe).heads
        whole = TissueNetwork(pretrained=True)
        self.stem, self.blocks, self.frozen = whole.stem, whole.blocks, frozen
        inputs, skips, widths = (320, 128, 80, 56), (112, 40, 24, 16), (128, 80, 56, 48)
        self.up = nn.ModuleList(
            nn.Sequential(conv_block(a + s, w), conv_block(w, w))
            for a, s, w in zip(inputs, skips, widths, strict=True)
        )
        self.last, self.heads = conv_block(48, 48), heads
        if frozen:
            self.stem.requires_grad_(False)
            self.blocks.requires_grad_(False)

    def train(self, mode: bool = True) -> "Encoded":
        """Switch norms to training, but for those of a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.stem.eval()
            self.blocks.eval()
        return self

    def forward(self, x: Tensor) -> Losses:
        """Pixels as `scale_pixels` leaves them -> outputs of the heads at half the resolution."""
        x = self.stem((x * 60.0 + 190.0 - 127.0) / 128.0)
        *skips, x = strided_maps(x, self.blocks)
        for block in self.up:
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), skips.pop()], 1))
        x = self.last(x)
        return {name: head(x) for name, head in self.heads.items()}


class Contextual(nn.Module):
    """The network, its class logits shifted by what the mean of the deepest features says."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.net = make_network(recipe)
        self.shift = nn.Linear(recipe.widths[-1], self.net.heads["logits"].out_channels)  # type: ignore[union-attr]
        self.net.down[-1].register_forward_hook(self._keep)  # type: ignore[union-attr]

    def _keep(self, _: nn.Module, __: object, deepest: Tensor) -> None:
        self.deepest = deepest

    def forward(self, x: Tensor) -> Losses:
        """As the network's."""
        out = self.net(x)
        shift = self.shift(self.deepest.mean((2, 3)))
        return out | {"logits": out["logits"] + shift[:, :, None, None]}


def with_distance(recipe: Recipe) -> UNet:
    """The network with a head more: the way to the nearest outline."""
    heads = {name: head.out_channels for name, head in make_network(recipe).heads.items()}
    return UNet(recipe.widths, heads | {"distance": 1}, 48)  # type: ignore[arg-type]


def distance_loss(_: Sequence[RgbImage]) -> Callable[[Losses, list[Tensor]], Losses]:
    """The shortest ray of each place in a nucleus, in units of 8 px."""

    def add(out: Losses, parts: list[Tensor]) -> Losses:
        _, prob, _, dist, _, _, _, outlined = parts
        weight = outlined * (prob > 0)
        error = (out["distance"].float()[:, 0] - dist.amin(1) / 8.0).abs()
        return {"distance": (error * weight).sum() / weight.sum().clamp(min=1.0)}

    return add


def outline_loss(_: Sequence[RgbImage]) -> Callable[[Losses, list[Tensor]], Losses]:
    """The mask's cross-entropy once more, on the pixels next to an outline."""

    def add(out: Losses, parts: list[Tensor]) -> Losses:
        mask, outlined = parts[5], parts[7]
        widest = nn.functional.max_pool2d(mask[:, None], _OUTLINE_PX, 1, _OUTLINE_PX // 2)[:, 0]
        least = -nn.functional.max_pool2d(-mask[:, None], _OUTLINE_PX, 1, _OUTLINE_PX // 2)[:, 0]
        weight = (widest - least) * outlined.repeat_interleave(2, 1).repeat_interleave(2, 2)
        logit = full_resolution(out["mask"].float())
        error = nn.functional.binary_cross_entropy_with_logits(logit, mask, reduction="none")
        return {"outline": _OUTLINE_WEIGHT * (error * weight).sum() / weight.sum().clamp(min=1.0)}

    return add


def teacher_loss(images: Sequence[RgbImage]) -> Callable[[Losses, list[Tensor]], Losses]:
    """The difference of all outputs from those of the recipe's kept weights, each by its spread there.

    They learned from the same sources as a trial does.
    """
    teacher = network_of(load_card(HERE / "recipes/nuclei/card.toml"), THIRD, images)
    on_device(teacher.eval(), "cpu")

    def add(out: Losses, parts: list[Tensor]) -> Losses:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            said = teacher(scale_pixels(parts[0]).contiguous(memory_format=torch.channels_last))
        errors = [
            nn.functional.smooth_l1_loss(out[name].float() / s, want.float() / s)
            for name, want in said.items()
            if (s := want.float().std().clamp(min=1e-3)) is not None
        ]
        return {"teacher": torch.stack(errors).sum()}

    return add


TRIALS: Mapping[str, Trial] = {
    "as it is": Trial(),
    "32 crops of 128 px": Trial({"crop_px": 128, "batch": 32}),
    "2 crops of 512 px": Trial({"crop_px": 512, "batch": 2}),
    "twice the steps of 4 crops": Trial({"batch": 4, "steps": 2.0}),
    "each batch twice": Trial(repeated=2),
    "half as wide": Trial({"widths": (16, 24, 48, 80, 112)}),
    "half as wide again": Trial({"widths": (48, 72, 144, 240, 336)}),
    "no mask, no offsets": Trial({"fine_outlines": False}),
    "outlines weigh more": Trial(add=outline_loss),
    "a distance map besides": Trial(network=with_distance, add=distance_loss),
    "0.25 um/px": Trial(mpp=0.25),
    "a teacher besides": Trial(add=teacher_loss),
    "hidden squares first": Trial(hidden_first=True),
    "ImageNet encoder, frozen": Trial(network=lambda recipe: Encoded(recipe, frozen=True)),
    "ImageNet encoder, trained": Trial(network=lambda recipe: Encoded(recipe, frozen=False)),
    "stronger stain": Trial(stain=2.0),
    "context of the crop for types": Trial(network=Contextual),
}


class TrialTrainer(Trainer):
    """Trains one trial; what differs from `NucleiTrainer` is what trials change."""

    def __init__(self, trial: Trial, recipe: Recipe, folder: Path, fields: Sequence[Field]) -> None:
        torch.manual_seed(recipe.seed)
        net = trial.network(recipe)
        on_device(net, "cpu")
        learned = [p for p in net.parameters() if p.requires_grad]
        super().__init__(
            net, torch.optim.AdamW(learned, weight_decay=recipe.weight_decay), folder, ema=recipe.ema
        )
        self.sampler, self.recipe = Sampler(fields, recipe), recipe
        self.set_weight = torch.from_numpy(self.sampler.set_weight)
        images = [f.image for f in fields[:_IMAGES]]
        self.add = trial.add(images) if trial.add else None

    def update(self, batch: list[Tensor]) -> dict[str, float]:
        """One step on the parts of a batch of the `Sampler`."""
        self.set_rate(learning_rate(self.step, self.recipe))
        with torch.autocast("cpu", torch.bfloat16):
            out = self.net(scale_pixels(batch[0]).contiguous(memory_format=torch.channels_last))
        found = losses(out, batch, self.set_weight) | (self.add(out, batch) if self.add else {})
        self.optimizer.zero_grad()
        torch.stack(list(found.values())).sum().backward()
        self.descend()
        return {name: loss.item() for name, loss in found.items()}


class HiddenTrainer(TrialTrainer):
    """Learns the color of squares that are hidden, through a head that is dropped afterwards."""

    def update(self, batch: list[Tensor]) -> dict[str, float]:
        """One step on the pixels of a batch."""
        self.set_rate(learning_rate(self.step, self.recipe))
        pixels = scale_pixels(batch[0])
        n, _, h, w = pixels.shape
        shape = n, 1, h // _HIDDEN_PX, w // _HIDDEN_PX
        hidden = nn.functional.interpolate(
            (torch.rand(shape) < _HIDDEN_SHARE).float(), scale_factor=_HIDDEN_PX
        )
        with torch.autocast("cpu", torch.bfloat16):
            out = self.net((pixels * (1 - hidden)).contiguous(memory_format=torch.channels_last))
        wanted, where = (nn.functional.avg_pool2d(part, 2) for part in (pixels, hidden))
        error = ((out["dist"].float()[:, :3] - wanted).abs() * where).sum() / (3 * where.sum())
        self.optimizer.zero_grad()
        error.backward()
        self.descend()
        return {"hidden": error.item()}


def load_split(data: Path, mpp: float) -> Split:
    """The labeled fields; finer pixels as if tissue were larger: the recipe counts pixels of 0.5 um."""
    fields = [f for name in THIRD.mix for f in load_fields(data / name, name, image_mpp=mpp)]
    return split_fields(replace(f, label_mpp=f.label_mpp * IMAGE_MPP / mpp) for f in fields)


def scored(net: nn.Module, fields: Sequence[Field], true: Sequence[Field], mpp: float) -> dict[str, object]:
    """Scores of each data set; what is found on finer pixels is brought back to its size."""
    scale, rows = mpp / IMAGE_MPP, []
    for seen, field_ in zip(fields, true, strict=True):
        found = find_with(net, seen)
        shrunk = replace(found, centers_um=found.centers_um * scale, outlines_um=found.outlines_um * scale)
        rows.append(score_field(shrunk, field_))
    return rounded(score_tables(rows))


@flushed_subnormals()
def try_one(name: str, seed: int, args: argparse.Namespace) -> None:
    """Train and score one trial."""
    trial = TRIALS[name]
    change = dict(trial.recipe)
    steps = round(args.steps * float(change.pop("steps", 1.0)))  # type: ignore[arg-type]
    # The average of the long recipe would still hold the random weights that a short run begins with.
    options = {"restarts": (), "decay_steps": steps // 2, "learning_rate": 1.5e-3, "ema": _EMA}
    recipe = replace(THIRD, steps=steps, seed=seed, **options)  # type: ignore[arg-type]
    recipe = replace(recipe, **change)  # type: ignore[arg-type]
    usual, coarse = augment.stain, load_split(args.data, IMAGE_MPP)
    split = coarse if trial.mpp == IMAGE_MPP else load_split(args.data, trial.mpp)
    augment.stain = partial(usual, strength=trial.stain)  # type: ignore[assignment]
    folder = args.out / f"{key(name)}_{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped: its hours are not known
    trainer = TrialTrainer(trial, recipe, folder, split.train)
    began = time.process_time()
    if trial.hidden_first:
        first = HiddenTrainer(trial, recipe, folder / "hidden", split.train)
        run(first, batches(first.sampler, 0, steps, seed + 100), steps, every=steps)
        trainer.net.load_state_dict(first.averaged.state_dict())
        trainer.average.load_state_dict(first.average.state_dict())  # type: ignore[union-attr]
    trainer.net.train()
    ready = batches(trainer.sampler, 0, steps // trial.repeated, seed)
    run(trainer, (batch for batch in ready for _ in range(trial.repeated)), steps, every=steps)
    augment.stain, took = usual, time.process_time() - began
    scores = scored(trainer.averaged.eval(), split.tuning, coarse.tuning, trial.mpp)
    size = sum(p.numel() for p in trainer.net.parameters())
    kept = {
        "name": name,
        "seed": seed,
        "steps": steps,
        "cpu_hours": round(took / 3600, 4),
        "parameters": size,
    }
    (HERE / "experiments").mkdir(exist_ok=True)
    path = HERE / "experiments" / f"{key(name)}_{seed}.json"
    path.write_text(json.dumps(kept | {"scores": scores}, indent=1) + "\n")


def key(name: str) -> str:
    """A name as that of a file."""
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in name).split())


def times(data: Path) -> None:
    """Print CPU seconds a step: of crops alone, and of the network's step in each format and layout."""
    sampler = Sampler(load_split(data, IMAGE_MPP).train, THIRD)
    batch = sampler.batch(np.random.default_rng(0))
    took = measured(lambda: sampler.batch(np.random.default_rng(1)))
    print(f"crops alone: {took:.3f} CPU-s a step")
    for compiled in (False, True):
        for layout in (torch.contiguous_format, torch.channels_last):
            for precision in (torch.float32, torch.bfloat16):
                net = make_network(THIRD).to(memory_format=layout)  # type: ignore[call-overload]
                fast = torch.compile(net) if compiled else net
                pixels = scale_pixels(batch[0]).contiguous(memory_format=layout)

                def step(fast=fast, pixels=pixels, precision=precision) -> None:
                    with torch.autocast("cpu", precision, enabled=precision is torch.bfloat16):
                        out = fast(pixels)
                    torch.stack(
                        list(losses(out, batch, torch.from_numpy(sampler.set_weight)).values())
                    ).sum().backward()

                words = f"{precision}, {layout}{', compiled' if compiled else ''}"
                print(f"{words}: {measured(step):.3f} CPU-s a step", flush=True)


def measured(work: Callable[[], object], rounds: int = 5) -> float:
    """Least CPU seconds of some rounds, after one that is not counted."""
    work()
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    """Run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/experiments"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--times", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.times:
        times(args.data)
        return
    for name in args.only or TRIALS:
        for seed in (1, 2, 3) if name == "as it is" else (1,):
            if not (HERE / "experiments" / f"{key(name)}_{seed}.json").exists():
                try_one(name, seed, args)


if __name__ == "__main__":
    main()
