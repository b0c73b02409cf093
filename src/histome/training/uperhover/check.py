"""What a curriculum would take, before it starts: network, memory and time, without computing a number."""

import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from histome.training.uperhover.build import make_blank, start_weights
from histome.training.uperhover.config import CurriculumConfig
from histome.training.uperhover.network import UperHoVer, uperhover_loss
from histome.training.uperhover.patches import patch_of
from histome.training.uperhover.prepare import prepare

# Of the rate of one large matrix product; measured of small and large plain encoders on one CPU core.
_REACHED = 0.35
_PRODUCT = 1024
# Attention as a CPU computes it is in torch's own table of operations only as a GPU does.
_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda *shapes, **_: sdpa_flop_count(
        *shapes[:3]
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda *shapes, **_: sdpa_backward_flop_count(*shapes[:4])
    ),
}


@dataclass(frozen=True)
class Forecast:
    """What `check_curriculum` found.

    Attributes
    ----------
    parameters, trained : dict of str to int
        By part of the network.
    weights_bytes, kept_bytes : int
        Weights with gradients and AdamW's two moments; what one batch keeps for the way back, the bfloat16
        copies of the weights among it.
    bucket_bytes : int
        What torchrun takes besides: the gradients once more, in the buckets in which they are shared.
    step_flop : float
        Of one batch, forward and back.
    device_flops : float, 1/s
        Of a product of two matrices on this device, in the type that training multiplies in.
    fields : tuple of int
        To learn from, to tune on, to score on.
    known : float, 0-1
        Share of the pixels of a crop of the human labels that lies in the field: the rest is mirrored.
    steps, batches, labeled : tuple of int
        Of each stage: optimizer steps, batches of one device, patches that its teacher labels.
    encoder : str
        Which one, and what its weights are at the start.
    left_out : str
        Which unlabeled images cannot be read; empty where all can.
    """

    parameters: dict[str, int]
    trained: dict[str, int]
    weights_bytes: int
    kept_bytes: int
    bucket_bytes: int
    step_flop: float
    device_flops: float
    fields: tuple[int, int, int]
    known: float
    steps: tuple[int, ...]
    batches: tuple[int, ...]
    labeled: tuple[int, ...]
    encoder: str
    left_out: str = ""

    @property
    def batch_s(self) -> float:
        """Seconds a batch, roughly."""
        return self.step_flop / (_REACHED * self.device_flops)

    def lines(self) -> list[str]:
        """Return what a person reads."""
        of = ", ".join(f"{name} {n / 1e6:.1f}" for name, n in self.parameters.items())
        trained, every = sum(self.trained.values()), sum(self.parameters.values())
        memory, (train, tune, score) = self.weights_bytes + self.kept_bytes, self.fields
        lines = [
            f"encoder: {self.encoder}",
            f"parameters: {every / 1e6:.1f} M ({of}), {trained / 1e6:.1f} M of them trained",
            f"memory: about {memory / 1e9:.1f} GB a device: {self.weights_bytes / 1e9:.1f} for weights, "
            f"gradients and moments, {self.kept_bytes / 1e9:.1f} for one batch; "
            f"under torchrun {self.bucket_bytes / 1e9:.1f} GB more",
            f"fields: {train} to learn from, {tune} to tune on, {score} to score on",
            f"a crop shows {100 * self.known:.0f} % of a field's own pixels",
        ]
        if self.known < 0.9:
            lines[-1] += "; the rest is mirrored and not learned from: set a smaller crop_px or a finer mpp"
        if self.left_out:
            lines.append(f"warning: {self.left_out}")
        stages = zip(self.steps, self.batches, self.labeled, strict=True)
        for k, (steps, batches, labeled) in enumerate(stages, start=1):
            hours = batches * self.batch_s / 3600
            told = f"{steps:,} steps, {batches:,} batches"
            told += f" after labeling {labeled:,} patches" if labeled else ""
            lines.append(f"stage {k}: {told}, about {hours:.1f} hours on one such device")
        rate = f"{self.device_flops / 1e12:.2g} Tflop/s"
        why = f"if a batch of {self.step_flop / 1e12:.2g} Tflop reaches {100 * _REACHED:.0f} % of {rate}"
        return [
            *lines,
            f"hours are a guess: {why}, what one matrix product reaches here; scoring is not in them",
        ]


def check_curriculum(config: CurriculumConfig, out: Path) -> Forecast:
    """Prepare a curriculum as `run_curriculum` does, and take one step that computes no number.

    Raises what `run_curriculum` would raise before its training.
    """
    training = config.training
    split, pools, left_out = prepare(config, out)
    known = [_known(patch_of(field, training.mpp).image.shape[:2], training.crop_px) for field in split.train]
    net = make_blank(config)
    flop, kept = _one_step(net, training.batch, training.crop_px)
    parts = {name: list(part.parameters()) for name, part in net.named_children()}
    trained = {name: sum(p.numel() for p in part if p.requires_grad) for name, part in parts.items()}
    parameters = {name: sum(p.numel() for p in part) for name, part in parts.items()}
    return Forecast(
        parameters,
        trained,
        4 * sum(parameters.values()) + 12 * sum(trained.values()),
        kept,
        4 * sum(trained.values()),
        flop,
        _product_flops(),
        (len(split.train), len(split.tuning), len(split.held_out)),
        sum(known) / len(known),
        tuple(stage.steps for stage in config.stages),
        tuple(stage.steps * stage.accumulate for stage in config.stages),
        tuple(map(len, pools)),
        start_weights(config.encoder),
        left_out,
    )


def _known(shape: tuple[int, ...], side: int) -> float:
    height, width = shape
    return min(height, side) * min(width, side) / side**2


def _one_step(net: UperHoVer, batch: int, side: int) -> tuple[float, int]:
    """Floating-point operations of a batch, and bytes that it keeps for the way back, as it is trained.

    A fake tensor computes no number, as one of the meta device, but has a device of its own, so that autocast
    does to it what it does in the training.
    """
    device = _device()
    place = lambda tensor: tensor.untyped_storage()._cdata  # noqa: E731
    kept: dict[int, Tensor] = {}  # held, so that no two have one place
    with FakeTensorMode(allow_non_fake_inputs=True):
        net = net.to_empty(device=device).train()
        weights = {place(t) for t in chain(net.parameters(), net.buffers())}
        image, hv = (torch.empty(batch, k, side, side, device=device) for k in (3, 2))
        classes = torch.empty(batch, side, side, device=device, dtype=torch.uint8)

        def keep(tensor: Tensor) -> Tensor:
            if place(tensor) not in weights:
                kept[place(tensor)] = tensor
            return tensor

        counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
        with counter:
            with saved_tensors_hooks(keep, lambda tensor: tensor):
                with torch.autocast(device, torch.bfloat16):
                    out = net(image.contiguous(memory_format=torch.channels_last))
                loss = uperhover_loss(out, classes, hv, classes > 0)
            loss.backward()
    return float(counter.get_total_flops()), sum(t.untyped_storage().nbytes() for t in kept.values())


def _device() -> str:
    """The one that training takes."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _product_flops() -> float:
    """Operations a second of a matrix product in bfloat16 on the device that training takes."""
    device = _device()
    side = _PRODUCT * (8 if device == "cuda" else 1)
    a = torch.ones(side, side, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(4):
        began = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - began)
    return 2 * side**3 / min(times)
