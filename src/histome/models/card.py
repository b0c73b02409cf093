"""Model cards: what a set of weights is, expects and how good it was; strict TOML beside the weights."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from histome.classes import CELL_CLASSES
from histome.config import Organ, read_settings
from histome.errors import ModelError
from histome.models.tasks import TASKS, Task

ZOO = Path(__file__).parent / "zoo"
_MODELS = "HISTOME_MODELS"
CARD_NAME = "card.toml"

# Columns of the cells whose mean over a slide may be held against those of the training slides.
STAIN_NAMES = ("hematoxylin_od_mean", "hematoxylin_od_sd", "eosin_od_mean")
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Names no other folder, on any system.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Thresholds(_Strict):
    """Cut-offs tuned on validation data; they belong to the weights, not to the user's settings.

    Attributes
    ----------
    prob : float, 0-1
        Smallest object probability of a nucleus; of a `hover`, `flow` or `seed` model, of a nucleus' pixel.
    nms : float, 0-1
        Largest share of a nucleus that others may cover (see `cells.decode.stardist`); of a `star` model, of
        the smaller of two nuclei that they may have in common (see `cells.decode.star`); of a `seed` model,
        of what both cover together.
    abstain : float, 0-1
        Calibrated confidence under which a class is not trusted.
    split_per_um : float, 1/um
        Of a `hover` model: the fall of the HV maps where two nuclei meet (see `cells.decode.hover`).
    min_area_um2 : float, um2
        Of a `hover`, `flow` or `seed` model: the smallest nucleus.
    flow_error : float
        Of a `flow` model: mean squared distance that a nucleus' flow may have from the one that its shape
        makes (see `cells.decode.flow`).
    """

    prob: Share = 0.5
    nms: Share = 0.4
    abstain: Share = 0.0
    split_per_um: Annotated[float, Field(gt=0.0)] = 0.25
    min_area_um2: Annotated[float, Field(ge=0.0)] = 8.0
    flow_error: Annotated[float, Field(gt=0.0)] = 0.4


class PixelVotes(_Strict):
    """How a `seed` model says which pixels belong to a nucleus (see `cells.decode.seed`).

    Attributes
    ----------
    seed : float
        Least value of the seed map at a seed.
    apart_px : int, px
        In the square that reaches so far from a seed no other pixel has a larger value.
    reach_px : int, px
        Pixels of a nucleus lie in the square of twice this side around its seed.
    layers : tuple of tuple of tuple of float
        Of a perceptron with ReLU between its layers: for each layer a row a unit, its weights and last its
        bias. In go how far a pixel points from where the seed points (x, y) and its two spreads, out comes
        the logit that the pixel belongs to the nucleus.
    """

    seed: float
    apart_px: Annotated[int, Field(ge=1, le=64)]
    reach_px: Annotated[int, Field(ge=8, le=256)]
    layers: Annotated[tuple[tuple[tuple[float, ...], ...], ...], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        inputs = 4
        for rows in self.layers:
            if not 1 <= len(rows) <= 256 or any(len(row) != inputs + 1 for row in rows):
                raise ValueError(f"layers: each unit of a layer must have {inputs} weights and a bias")
            inputs = len(rows)
        if inputs != 1:
            raise ValueError("layers: the last has one unit")
        return self


class Basins(_Strict):
    """What a `basin` model's pixels must reach, for each class but background (see `cells.decode.basin`).

    Attributes
    ----------
    foreground, seed : tuple of float, 0-1
        From which probability on a pixel is nuclear, and inside enough to be a seed.
    least_um2, most_um2 : tuple of float, um2
        Between which a nucleus' area lies.
    """

    foreground: tuple[Share, ...]
    seed: tuple[Share, ...]
    least_um2: tuple[Annotated[float, Field(ge=0.0)], ...]
    most_um2: tuple[Annotated[float, Field(gt=0.0)], ...]


class Familiarity(_Strict):
    """What the surroundings of the cells were like that a model learned from (see `cells.familiarity`).

    Attributes
    ----------
    mean : tuple of float
        Of the features over the labeled fields.
    whitening : tuple of tuple of float
        Rows that make of a difference from the mean one whose root mean square is 1 at the limit: the
        distance that 95 % of the fields stay within, those that training kept back or those it saw.
    """

    mean: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        if any(len(row) != len(self.mean) for row in (self.whitening, *self.whitening)):
            raise ValueError("whitening must have as many rows and columns as mean")
        return self


class DataSource(_Strict):
    """One data set the weights learned from, with its license as far as known."""

    name: Line
    license: Line
    note: str = ""


class Card(_Strict):
    """What `card.toml` says about a model.

    Attributes
    ----------
    name : str
        Lower-case name, equal to its folder's name in the zoo.
    task : Task
        What it is made for; `models.tasks` says what each task's outputs are and how they are read.
    classes : tuple of str
        Class names in the order of the output channels.
    cell_classes : tuple of str
        Of a `hover`, `star`, `flow` or `seed` model, the one of our cell classes that each of `classes` but
        the first is counted as; several may be counted as one.
    mpp : float, um/px
        Of the input image.
    window_px : int, px
        Side of the square input window at `mpp`; a multiple of `stride`.
    halo_px : int, px
        Part of each side of the window that only gives context and is thrown away.
    stride : int, px
        Input pixels per output pixel.
    cut_px : int, px
        The model also takes windows whose sides are fewer multiples of this, and answers inside of them, a
        halo from the cut, as in the whole window; 0: it takes whole windows only.
    n_rays : int
        Star-convex rays of a `stardist` or `star` model, corners of the outlines of the others.
    temperature : float
        Logits are divided by it before the softmax (calibration on validation data).
    weights, sha256 : str
        ONNX file beside the card and its checksum.
    external : dict of str
        Files beside the weights in which ONNX keeps part of them, each with its sha256. Others are refused.
    limits : tuple of str
        One line each on what the model never saw.
    training_data : tuple of DataSource
        Data sets with licenses.
    organs : tuple of str
        Organs that it learned from, names out of `classes.ORGANS`; empty where that is not known.
    votes : PixelVotes or None
        Of a `seed` model, and only of it.
    basins : Basins or None
        Of a `basin` model, and only of it.
    familiarity : Familiarity or None
        What is known to it; None: it cannot tell what is strange.
    reference : dict of tuple of float
        Means of the outputs for a drawn window (`models.reference.summarize`), for `check_model`.
    source : dict of str
        Of a model from a hub, its place with the revision, license and terms of access as the hub words them.
    scores, training : dict
        Free tables: held-out figures with n and interval; how it was trained.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
    version: Line = "1"
    task: Task
    description: Line
    license: Line = "Apache-2.0"
    classes: Annotated[tuple[Line, ...], Field(min_length=1)]
    cell_classes: tuple[Line, ...] = ()
    mpp: Annotated[float, Field(gt=0.05, lt=100.0)]
    window_px: Annotated[int, Field(ge=32, le=4096)]
    halo_px: Annotated[int, Field(ge=0)]
    stride: Annotated[int, Field(ge=1, le=64)] = 1
    cut_px: Annotated[int, Field(ge=0)] = 0
    n_rays: Annotated[int, Field(ge=8, le=256)] = 32
    temperature: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    weights: FileName = "model.onnx"
    sha256: Checksum
    external: dict[FileName, Checksum] = {}
    limits: tuple[Line, ...] = ()
    thresholds: Thresholds = Thresholds()
    training_data: tuple[DataSource, ...] = ()
    organs: tuple[Organ, ...] = ()
    votes: PixelVotes | None = None
    basins: Basins | None = None
    familiarity: Familiarity | None = None
    reference: dict[str, tuple[float, ...]] = {}
    source: dict[str, str] = {}
    scores: dict[str, Any] = {}
    training: dict[str, Any] = {}

    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _geometry_fits(self) -> Self:
        if self.window_px % self.stride:
            raise ValueError(f"window_px {self.window_px} is not a multiple of stride {self.stride}")
        if self.halo_px % self.stride:
            raise ValueError(f"halo_px {self.halo_px} is not a multiple of stride {self.stride}")
        if self.cut_px and (self.window_px % self.cut_px or self.cut_px % self.stride):
            raise ValueError(
                f"cut_px {self.cut_px}: window_px {self.window_px} must be a multiple of it, and it one of "
                f"stride {self.stride}"
            )
        if 2 * self.halo_px >= self.window_px:
            raise ValueError(f"halo_px {self.halo_px} leaves no core in a window of {self.window_px} px")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes holds a name twice")
        if unknown := set(self.training.get("stain", {})) - set(STAIN_NAMES):
            raise ValueError(
                f"training.stain names {', '.join(sorted(unknown))}: what is measured is "
                f"{', '.join(STAIN_NAMES)}"
            )
        counted = TASKS[self.task].classes is None
        if len(self.cell_classes) != (len(self.classes) - 1 if counted else 0):
            raise ValueError(
                "cell_classes must name a cell class for each class but background (but of no stardist)"
            )
        if unknown := set(self.cell_classes) - set(CELL_CLASSES):
            raise ValueError(
                f"cell_classes: {', '.join(sorted(unknown))}: choose from {', '.join(CELL_CLASSES)}"
            )
        if TASKS[self.task].one_class and len(self.classes) != 2:
            raise ValueError(f"classes: a {self.task} model tells background and one class")
        if (self.votes is None) == (self.task == "seed"):
            raise ValueError("votes must be given for a seed model, and for no other")
        if (self.basins is None) == (self.task == "basin"):
            raise ValueError("basins must be given for a basin model, and for no other")
        if self.basins and any(len(cuts) != len(self.cell_classes) for _, cuts in self.basins):
            raise ValueError("basins: each has a value for each class but background")
        return self

    @property
    def core_px(self) -> int:
        """Side of the window's part whose output is used, pixels at `mpp`."""
        return self.window_px - 2 * self.halo_px

    @property
    def weights_path(self) -> Path:
        """The weights' file, beside the card it was loaded from."""
        return self._folder / self.weights

    def at(self, folder: Path) -> Self:
        """Return the same card, its weights looked for in `folder`."""
        card = self.model_copy()
        card._folder = Path(folder)
        return card


def load_card(name_or_path: str | Path) -> Card:
    """Read one card: a model's folder or a `card.toml`, the name of a shipped model or of one of your own.

    Raises `ModelError` when there is none, or when it holds anything a card may not hold.
    """
    path = _card_path(name_or_path)
    card = read_settings(Card, path, what="field", error=ModelError)
    return card.at(path.parent)


def models_folder() -> Path:
    """Return where models of one's own are kept by name: HISTOME_MODELS, or a folder of the user's data."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get(_MODELS) or Path(data) / "histome" / "models")


def has_card(name_or_path: str | Path) -> bool:
    """Whether there is a card at this path, or a model of this name, shipped or in `models_folder()`."""
    return _existing_card(Path(name_or_path)) is not None


def _card_path(name_or_path: str | Path) -> Path:
    path = _existing_card(Path(name_or_path))
    if path is None:
        raise ModelError(f"{name_or_path}: no such model; `histome models list` names those there are")
    return path


def _existing_card(given: Path) -> Path | None:
    folders = (given, ZOO / given, models_folder() / given)
    candidates = (given, *(folder / CARD_NAME for folder in folders))
    return next((path for path in candidates if path.is_file()), None)


def card_to_toml(card: Card) -> str:
    """Return the card as TOML text that `load_card` reads back to an equal card; `models show` prints it."""
    return "\n".join(_table_lines(card.model_dump(), prefix="")).strip() + "\n"


def write_card(card: Card, folder: Path) -> Path:
    """Write `card.toml` into `folder` and return its path (for the training scripts in runs/)."""
    path = Path(folder) / CARD_NAME
    path.write_text(card_to_toml(card), encoding="utf-8")
    return path


def _table_lines(table: Mapping[str, Any], *, prefix: str) -> list[str]:
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items() if value is not None]
    for key, value in table.items():
        name = f"{prefix}{_key(key)}"
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_table_lines(value, prefix=f"{name}.")]
        elif _is_table(value):
            for row in value:
                lines += ["", f"[[{name}]]", *_table_lines(row, prefix=f"{name}.")]
    return lines


def _is_table(value: Any) -> bool:
    rows = isinstance(value, list | tuple) and len(value) > 0
    return isinstance(value, Mapping) or (rows and all(isinstance(row, Mapping) for row in value))


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    raise ModelError(f"a model card cannot hold a {type(value).__name__}; use text, numbers, lists or tables")


def _text(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    body = "".join(escapes.get(c, c if ord(c) >= 32 and ord(c) != 127 else f"\\u{ord(c):04x}") for c in text)
    return f'"{body}"'
