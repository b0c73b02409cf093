"""Settings of a curriculum: one TOML file with a table a sub-tree."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from histome.config import LARGEST_SEED, Settings, read_settings
from histome.errors import UsageError
from histome.training.uperhover.train import HoverRecipe

_Positive = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(gt=0.0, le=1.0)]
_Mpp = Annotated[float, Field(gt=0.05, lt=5.0)]


class EncoderConfig(Settings):
    """The encoder, a vision transformer or one convolutional network.

    Attributes
    ----------
    name : str
        `plain`, `uni2-h`, `efficientnet-lite0` (convolutions, with ImageNet's weights; maps of strides 4
        to 32), or a name that timm knows: its structure alone, its weights are not fetched.
    weights : str or None
        File with its pretrained state, taken up at the start of every stage; without one a stage starts from
        the random weights of `seed`.
    width, depth, heads, patch_px : int
        Those of `plain`.
    taps : 4, 2 or 1
        Blocks that are read: at each quarter of the depth, each half, or the last alone.
    frozen : bool
        It keeps its start weights; the decoders alone are trained.
    checkpointing : bool
        The inside of its blocks is computed twice and not kept: less memory, a third more time.
    """

    name: str = "plain"
    weights: str | None = None
    width: _Positive = 192
    depth: _Positive = 6
    heads: _Positive = 3
    patch_px: _Positive = 8
    taps: Literal[1, 2, 4] = 4
    frozen: bool = False
    checkpointing: bool = False


class DecoderConfig(Settings):
    """The two decoders.

    Attributes
    ----------
    channels : (4,) int
        Of the four maps, finest first.
    strides : (4,) int, px of the input
        Of the same maps.
    hidden : int
        Hidden channels.
    hv : bool
        Whether HV maps are learned; without them nuclei that touch are one.
    """

    channels: tuple[_Positive, _Positive, _Positive, _Positive] = (256, 512, 1024, 2048)
    strides: tuple[_Positive, _Positive, _Positive, _Positive] = (4, 8, 16, 32)
    hidden: _Positive = 768
    hv: bool = True


class LabeledConfig(Settings):
    """A labeled set: a folder with images.csv, or one as `data_set` is published (docs/bring-your-own.md).

    Attributes
    ----------
    tuning, held_out : tuple[str, ...]
        Sources (slides, patients) kept for following the training and for the scores; those of
        `datasets.splits` where both are empty.
    """

    data_set: str
    folder: str
    tuning: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if both := sorted({*self.tuning} & {*self.held_out}):
            raise ValueError(f"{both[0]!r} stands in tuning and in held_out; keep it in one of them")
        return self


class UnlabeledConfig(Settings):
    """A folder of images without labels.

    Attributes
    ----------
    layout : "images" or "tcga-ut"
        `images` (all below the folder are at `mpp` um/px) or `tcga-ut` (`<cancer>/<scale>/<case>/*.jpg`;
        scale 0-5 is 0.5-1.0 um/px).
    """

    folder: str
    layout: Literal["images", "tcga-ut"] = "images"
    mpp: _Mpp | None = None


class StageConfig(Settings):
    """One stage. The first learns from the labeled sets, each other one from what its teacher labeled.

    Attributes
    ----------
    accumulate : int
        Batches a step.
    mpps : tuple[float, ...], um/px
        Scales at which unlabeled images are labeled.
    keep : float, 0-1
        Share of the most confident patches.
    patches : int or None
        At most so many are labeled, drawn by lot.
    """

    steps: _Positive
    accumulate: _Positive = 1
    mpps: Annotated[tuple[_Mpp, ...], Field(min_length=1)] = (0.5,)
    keep: _Share = 0.7
    patches: _Positive | None = None


class TrainingConfig(Settings):
    """As in `uperhover.train.HoverRecipe`.

    Attributes
    ----------
    patch_px : int
        Side of the squares that images are cut to.
    scored_mpps : tuple[float, ...], um/px
        Scales, besides `mpp`, at which the held-out fields are scored by pixel.
    timeout_s : float, s
        How long processes of torchrun wait for the one that chooses thresholds and scores.
    """

    crop_px: _Positive = 224
    patch_px: _Positive = 256
    mpp: _Mpp = 0.5
    batch: _Positive = 8
    learning_rate: Annotated[float, Field(gt=0.0)] = 5e-5
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    every: _Positive = 500
    compile: bool = False
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 1
    scored_mpps: tuple[_Mpp, ...] = ()
    timeout_s: Annotated[float, Field(gt=0.0)] = 10_800.0


class CurriculumConfig(Settings):
    """Everything that decides a curriculum's result."""

    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    training: TrainingConfig = TrainingConfig()
    labeled: Annotated[tuple[LabeledConfig, ...], Field(min_length=1)]
    unlabeled: tuple[UnlabeledConfig, ...] = ()
    stages: Annotated[tuple[StageConfig, ...], Field(min_length=1)]
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> str:
        """What an error names: the file that these settings were read from."""
        return "the settings" if self._file is None else str(self._file)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a TOML file; paths in it count from the file's own folder.

        Raises UsageError, one line, when the file is missing, not TOML, or holds a wrong setting.
        """
        return read_settings(cls, path)._checked(path)

    def _checked(self, path: Path) -> Self:
        """Refuse what would only fail in hours; let paths count from the file's own folder."""
        if len(self.stages) > 1 and not self.unlabeled:
            raise UsageError(f"{path}: {len(self.stages)} stages need an [[unlabeled]] folder to label")
        changes: dict[str, Any] = {}
        for name in ("labeled", "unlabeled"):
            sets = [s.model_copy(update={"folder": str(path.parent / s.folder)}) for s in getattr(self, name)]
            for given in sets:
                if not Path(given.folder).is_dir():
                    raise UsageError(f"{path}: [[{name}]] {given.folder}: no such folder")
                if name == "unlabeled" and given.layout == "images" and given.mpp is None:
                    raise UsageError(f"{path}: [[unlabeled]] {given.folder}: say the images' mpp (um/px)")
            changes[name] = tuple(sets)
        if self.encoder.weights is not None:
            weights = path.parent / self.encoder.weights
            if not weights.is_file():
                raise UsageError(f"{path}: encoder.weights {weights}: no such file")
            changes["encoder"] = self.encoder.model_copy(update={"weights": str(weights)})
        checked = self.model_copy(update=changes)
        checked._file = path
        return checked

    def recipe(self, stage: StageConfig) -> HoverRecipe:
        """The recipe of one stage."""
        fields = self.training.model_dump(exclude={"patch_px", "scored_mpps", "timeout_s"})
        return HoverRecipe(steps=stage.steps, accumulate=stage.accumulate, **fields)
