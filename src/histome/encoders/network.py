"""An encoder that runs: a network of torch or ONNX, or a plain function, on batches of tiles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from histome.encoders.architectures import FromFolder
from histome.encoders.card import IMAGENET_MEAN, IMAGENET_STD, Embeddings, EncoderCard, Tiles
from histome.encoders.registry import find_encoder
from histome.encoders.weights import Told, config_folder, file_sha256, find_weights, load_into
from histome.errors import ModelError, UsageError

Run = Callable[[Tiles], Any]


class Opened:
    """A card and what runs it, of tiles or of slides.

    Attributes
    ----------
    card : EncoderCard
        What is known of it.
    network : torch module or None
        Where it is one of torch.
    sha256 : str
        Of its weights; "" where there are none or they are random.
    """

    def __init__(
        self, card: EncoderCard, run: Callable[..., Any], *, network: Any = None, sha256: str = ""
    ) -> None:
        self.card, self._run, self.network, self.sha256 = card, run, network, sha256


class OpenedEncoder(Opened):
    """An encoder of tiles that runs."""

    def __call__(self, tiles: Tiles, /) -> Embeddings:
        """Return (n, dimension) float32 for (n, h, w, 3) uint8; tiles of another side are resized first.

        Raises ValueError for what are no tiles, ModelError for what are no vectors of the card's.
        """
        if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8:
            raise ValueError(f"tiles are uint8 (n, h, w, 3), not {tiles.dtype} {tiles.shape}")
        found = np.asarray(self._run(self._sized(tiles)), np.float32)
        if found.shape != (len(tiles), self.card.dimension or found.shape[-1]):
            raise ModelError(
                f"{self.card.name}: gives {found.shape} for {len(tiles)} tiles; its card says "
                f"{self.card.dimension} values"
            )
        if not np.isfinite(found).all():
            raise ModelError(f"{self.card.name}: gives values that are not finite")
        return found

    def _sized(self, tiles: Tiles) -> Tiles:
        side = self.card.input_px
        if side is None or tiles.shape[1:3] == (side, side):
            return np.ascontiguousarray(tiles)
        how = cv2.INTER_AREA if tiles.shape[1] > side else cv2.INTER_CUBIC
        return np.stack([cv2.resize(tile, (side, side), interpolation=how) for tile in tiles])


def open_encoder(
    name: str | Path | EncoderCard,
    weights: Path | None = None,
    *,
    hub: bool = False,
    random: bool = False,
    device: str = "cpu",
    told: Told = lambda line: None,
) -> OpenedEncoder:
    """Return an encoder that is ready to run.

    Parameters
    ----------
    name : str, Path or EncoderCard
        As `find_encoder` takes it, or a card.
    weights : Path or None
        File or folder; None to look where `find_weights` looks.
    hub : bool
        May they be downloaded, with the user's own login.
    random : bool
        Leave them random: for trying a shape or a speed.
    device : str
        cpu or cuda.
    told : callable(line)
        Gets license and size before a download.

    Raises
    ------
    UsageError, ModelError
        No weights, none that fit, or a network that is not built here.
    """
    card = name if isinstance(name, EncoderCard) else find_encoder(name)
    if card.level == "slide":
        raise UsageError(f"{card.name} reads the vectors of tiles (of {card.reads}), not tiles")
    path = None if random else find_weights(card, weights, hub=hub, told=told)
    if path is not None and path.suffix == ".onnx":
        return OpenedEncoder(card, _onnx_run(card, path), sha256=file_sha256(path))
    if card.build is None or card.needs:
        raise UsageError(f"{card.name}: {card.needs or 'its network is not public'}")
    made = _built(card, path)
    sha256 = file_sha256(path) if path is not None else ""
    if not hasattr(made, "state_dict"):
        return OpenedEncoder(card, made, sha256=sha256)
    network = made.eval().to(device)
    return OpenedEncoder(card, _torch_run(card, network), network=network, sha256=sha256)


def _built(card: EncoderCard, path: Path | None) -> Any:
    assert card.build is not None
    made = card.build()
    if isinstance(made, FromFolder):
        return _of_folder(card, made, path)
    if path is not None:
        load_into(made, path)
    return made


def _of_folder(card: EncoderCard, shape: FromFolder, path: Path | None) -> Any:
    if path is None:
        raise UsageError(f"{card.name}: its shape is in its publisher's config.json; give --weights FOLDER")
    from histome.encoders.vit import timm_encoder

    return timm_encoder(model_name=f"local-dir:{config_folder(path)}", pretrained=True, **shape.arguments)


def _torch_run(card: EncoderCard, network: Any) -> Run:
    import torch

    device = next(iter(network.state_dict().values())).device
    mean, std = (torch.tensor(given).view(1, 3, 1, 1).to(device) for given in _scale(card))

    @torch.inference_mode()
    def run(tiles: Tiles) -> Any:
        pixels = torch.from_numpy(tiles).to(device).permute(0, 3, 1, 2).float() / 255
        return pool(network, (pixels - mean) / std, card.pooling).float().cpu().numpy()

    return run


def _scale(card: EncoderCard) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return card.mean or IMAGENET_MEAN, card.std or IMAGENET_STD


def pool(network: Any, pixels: Any, pooling: str) -> Any:
    """Return (n, d) of a transformer's tokens as a card says, or what the network returns (`own`).

    `pixels` is (n, 3, h, w) float. timm and transformers both norm their last tokens first.
    """
    import torch

    if pooling == "own":
        return network(pixels)
    if hasattr(network, "forward_features"):
        tokens, prefix = network.forward_features(pixels), network.num_prefix_tokens
    else:
        tokens = (
            network(pixel_values=pixels, interpolate_pos_encoding=True)
            if _is_vit(network)
            else network(pixels)
        )
        tokens, prefix = tokens.last_hidden_state, 1 + getattr(network.config, "num_register_tokens", 0)
    patches = tokens[:, prefix:].mean(1)
    parts = {"class": [tokens[:, 0]], "mean": [patches], "class+mean": [tokens[:, 0], patches]}[pooling]
    return torch.cat(parts, -1)


def _is_vit(network: Any) -> bool:
    return type(network).__name__ == "ViTModel"


def _onnx_run(card: EncoderCard, path: Path) -> Run:
    """Run an ONNX file: its first input uint8 (n, h, w, 3), or float (n, 3, h, w) scaled as the card says."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises bare subclasses of Exception, one for each status
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({reason})") from error
    port, output = session.get_inputs()[0], session.get_outputs()[0].name
    one_by_one = isinstance(port.shape[0], int) and port.shape[0] == 1
    mean, std = (np.array(given, np.float32).reshape(1, 3, 1, 1) for given in _scale(card))

    def run(tiles: Tiles) -> Any:
        given: Any = tiles
        if port.type != "tensor(uint8)":
            given = ((tiles.transpose(0, 3, 1, 2).astype(np.float32) / 255) - mean) / std
        parts = np.split(given, len(given)) if one_by_one and len(given) else [given]
        found: list[Any] = [session.run([output], {port.name: part})[0] for part in parts]
        return np.concatenate(found)

    return run


def count_gflops(opened: OpenedEncoder) -> float | None:
    """Return the arithmetic of one tile, 1e9 operations; None for what is no network of torch."""
    if opened.network is None:
        return None
    from torch.utils.flop_counter import FlopCounterMode

    side = opened.card.input_px or 224
    with FlopCounterMode(display=False) as counter:
        opened(np.zeros((1, side, side, 3), np.uint8))
    return counter.get_total_flops() / 1e9
