"""An encoder against its card: what anything that turns tiles into vectors must do to be used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from histome.checks.doctor import Finding
from histome.encoders import (
    EncoderCard,
    OpenedEncoder,
    OpenedSlideEncoder,
    find_encoder,
    open_encoder,
    open_slide_encoder,
)
from histome.encoders.card import Tiles, standing
from histome.errors import HistomeError
from histome.phantom import paint_field

# Of the vectors' spread: batches are added up in another order, nothing else may differ.
_BATCH_TOLERANCE = 1e-3
_TILES = 4
_Named = tuple[str, Callable[[], str]]


def check_encoder(
    name: str | Path,
    weights: Path | None = None,
    *,
    hub: bool = False,
    random: bool = False,
    told: Callable[[str], object] = lambda line: None,
) -> list[Finding]:
    """Hold an encoder against its card; every finding that is not `fine` is a reason not to use it.

    Looked at, on drawn tiles: the card, the weights, the length of the vector, that a batch gives what its
    tiles give alone, that the same tiles give the same vectors again, that different tiles give different
    ones, and the number of parameters where the card states it.
    """
    try:
        card = find_encoder(name)
        findings = [Finding("card", True, f"{card.dimension or 'unknown'} values, {standing(card)}")]
        open_it = open_slide_encoder if card.level == "slide" else open_encoder
        opened = open_it(card, weights, hub=hub, random=random, told=told)
    except HistomeError as error:
        return [Finding("opens", False, str(error))]
    origin = f"sha256 {opened.sha256[:12]}" if opened.sha256 else "random" if random else card.weights
    findings.append(Finding("weights", True, origin))
    if isinstance(opened, OpenedSlideEncoder):
        return findings + [_look(*look) for look in _slide_looks(opened)]
    tiles = _drawn(card.input_px or 224)
    looks: list[_Named] = [
        ("vectors", lambda: f"{opened(tiles).shape[1]} values a tile"),
        ("batches", lambda: _alone(opened, tiles)),
        ("repeats", lambda: _again(opened, tiles)),
        ("tells apart", lambda: _apart(opened, tiles)),
        ("parameters", lambda: _parameters(card, opened)),
    ]
    return findings + [_look(*look) for look in looks]


def _slide_looks(opened: OpenedSlideEncoder) -> list[_Named]:
    """What is looked at of a slide encoder, on random vectors of 40 tiles."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, opened.inputs or 8)).astype(np.float32)
    corners = 224.0 * np.stack(np.divmod(np.arange(40), 8), 1)

    def other_order() -> str:
        found, turned = opened(vectors, corners, 224), opened(vectors[::-1].copy(), corners[::-1], 224)
        worst = float(np.abs(found - turned).max() / (found.std() + 1e-9))
        return f"tiles in another order change it by {worst:.1g} of its spread"

    def again() -> str:
        if not np.array_equal(opened(vectors, corners, 224), opened(vectors, corners, 224)):
            raise ValueError("the same tiles give another vector the second time")
        return "the same vector again"

    return [
        ("vector", lambda: f"{len(opened(vectors, corners, 224))} values a slide"),
        ("repeats", again),
        ("order", other_order),
        ("parameters", lambda: _parameters(opened.card, opened)),
    ]


def _drawn(side: int) -> Tiles:
    """Four drawn tiles with ever more nuclei, the last one white."""
    rng = np.random.default_rng(0)
    field = paint_field(2 * side, mpp=0.5, rng=rng)
    quarters = [field[y : y + side, x : x + side] for y in (0, side) for x in (0, side)]
    return np.stack([*quarters[: _TILES - 1], np.full((side, side, 3), 255, np.uint8)])


def _look(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (HistomeError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        return Finding(name, False, " ".join(str(error).split())[:200])


def _alone(opened: OpenedEncoder, tiles: Tiles) -> str:
    together, alone = opened(tiles), np.concatenate([opened(tile[None]) for tile in tiles])
    worst = float(np.abs(together - alone).max() / (together.std() + 1e-9))
    if worst > _BATCH_TOLERANCE:
        raise ValueError(f"a tile in a batch differs from the same tile alone by {worst:.2g} of the spread")
    return f"the same to {worst:.1g} of the spread"


def _again(opened: OpenedEncoder, tiles: Tiles) -> str:
    if not np.array_equal(opened(tiles), opened(tiles)):
        raise ValueError("the same tiles give other vectors the second time")
    return "the same vectors again"


def _apart(opened: OpenedEncoder, tiles: Tiles) -> str:
    found = opened(tiles)
    distance = float(np.linalg.norm(found[0] - found[-1]) / (np.linalg.norm(found[0]) + 1e-9))
    if distance < 1e-3:
        raise ValueError("a tile of tissue and a white one have the same vector")
    return f"tissue and white differ by {distance:.2g} of the vector's length"


def _parameters(card: EncoderCard, opened: OpenedEncoder | OpenedSlideEncoder) -> str:
    if opened.network is None:
        return "not counted: no network of torch"
    count = sum(parameter.numel() for parameter in opened.network.parameters())
    if card.parameters is not None and count != card.parameters:
        raise ValueError(f"{count:,}, the card says {card.parameters:,}")
    return f"{count:,}"
