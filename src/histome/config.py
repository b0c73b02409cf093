"""Every setting in one frozen tree."""

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from histome.classes import find_organ
from histome.errors import HistomeError, UsageError
from histome.names import shown

# Of a training: torch takes 64 bits, of which numbers made of seed and step need more than half.
LARGEST_SEED = 2**32 - 1

S = TypeVar("S", bound=BaseModel)


class Settings(BaseModel):
    """Base of every settings class: frozen, finite, no conversion of types, no unknown names."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def updated(self, **changes: Any) -> Self:
        """Return a copy with other values, checked as these were; raises UsageError, one line."""
        try:
            return type(self).model_validate({**dict(self), **changes})
        except ValidationError as cause:
            raise UsageError(_problem(type(self), cause.errors(), "setting")) from cause


def read_settings(
    cls: type[S], source: Path | Traversable, *, what: str = "setting", error: type[HistomeError] = UsageError
) -> S:
    """Read a TOML file as one of the strict classes.

    Raises `error`, one line, when the file is missing, not TOML, or holds an unknown or wrongly typed value;
    `what` names a value in it.
    """
    try:
        # -sig: Windows marks UTF-8. Through JSON: TOML has no tuples, and strict validation takes them of it.
        text = json.dumps(tomllib.loads(source.read_text(encoding="utf-8-sig")))
        return cls.model_validate_json(text, strict=True)
    except OSError as cause:
        raise error(f"{source}: cannot be read ({cause.strerror})") from cause
    except ValidationError as cause:
        raise error(f"{source}: {_problem(cls, cause.errors(), what)}") from cause
    except RecursionError as cause:
        raise error(f"{source}: not a valid TOML file (nested too deeply)") from cause
    except (ValueError, TypeError) as cause:  # of a number of 5,000 digits, Python's words go on after a ;
        raise error(f"{source}: not a valid TOML file ({str(cause).split(';')[0]})") from cause


def _problem(cls: type[BaseModel], errors: Sequence[Any], what: str) -> str:
    """Return in words what is wrong: an unknown name before all else, it may be a missing one misspelled."""
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    name = shown(".".join(map(str, first["loc"])))
    if first["type"] != "extra_forbidden":
        told = first["msg"].removeprefix("Value error, ")
        if first["type"] == "model_type":
            told = f"must be a table such as [{name}] with {', '.join(_fields_at(cls, first['loc']))}"
        return f"{what} {name}: {told}" if name else told
    *path, unknown = first["loc"]
    near = get_close_matches(str(unknown), known := _fields_at(cls, path), n=1)
    meant = [_written([*path, name], table=_settings_in(known[name]) is not None) for name in near]
    given = _written(first["loc"], table=isinstance(first["input"], dict))
    return f"unknown {what} {given}{f'; did you mean {meant[0]}?' if meant else ''}"


def _fields_at(cls: type[BaseModel], path: Iterable[str | int]) -> dict[str, Any]:
    """Return the types of the fields that may stand at a place in a settings file, by name."""
    for part in path:
        if part in cls.model_fields:  # others are places in a list or keys of a table: the type is known
            cls = _settings_in(cls.model_fields[str(part)].annotation) or cls
    return {name: field.annotation for name, field in cls.model_fields.items()}


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    """Return the class that a type is, or is made of; None for plain values."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _written(path: Iterable[str | int], *, table: bool) -> str:
    name = shown(".".join(map(str, path)))
    return f"[{name}]" if table else name


Organ = Annotated[str, AfterValidator(find_organ)]


class SlideConfig(Settings):
    """How the slide is read, and what is stated of its specimen.

    The statements change no number: narrative, report and warnings say what they mean for the models.

    Attributes
    ----------
    allow_estimated_mpp : bool
        Where the file states no resolution, take 10 / magnification of its objective.
    broken_tiles_at_most : float, 0-1
        Share of the tissue that may lie in tiles that cannot be read; beyond it the slide is refused.
    organ : str or None
        Where the tissue was taken from: a name out of `classes.ORGANS`, or another word for one.
    site, specimen : "primary", "metastasis"; "biopsy", "resection", "cytology"; or None
        Of the tumor; how the tissue was taken.
    name : str or None
        What slide and folder are called; None for the file's name without its ending.
    """

    allow_estimated_mpp: bool = False
    broken_tiles_at_most: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    organ: Organ | None = None
    site: Literal["primary", "metastasis"] | None = None
    specimen: Literal["biopsy", "resection", "cytology"] | None = None
    name: Annotated[str, Field(pattern=r"^[^./\\][^/\\]*$", max_length=200)] | None = None

    @property
    def stated(self) -> dict[str, str]:
        """What is stated of the specimen."""
        return {name: said for name in ("organ", "site", "specimen") if (said := getattr(self, name))}


class RoiConfig(Settings):
    """Which regions of a slide are measured; all of it without a file.

    Attributes
    ----------
    file : str or None
        GeoJSON (QuPath), GeoParquet, XML (Aperio, ASAP), px of level 0; or a folder of one for each slide.
    include : tuple of str
        Names or classes of regions, or globs; empty for all that are not left out.
    exclude : tuple of str
        The same, of what is left out, besides QuPath's class Ignore* and Aperio's negative regions.
    """

    file: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise UsageError where regions are chosen of no file: it may be named apart from the choice."""
        chosen = [name for name in ("include", "exclude") if getattr(self, name)]
        if chosen and self.file is None:
            raise UsageError(f"--roi-{chosen[0]} needs --roi FILE; in settings, [roi] {chosen[0]} needs file")


class QcConfig(Settings):
    """Quality control.

    Attributes
    ----------
    model : str or None
        Name of a quality model that is registered or installed, or a path to a card or its folder: what it
        finds is excluded besides what the rules find. None: the rules alone.
    out_of_focus_below : float
        Focus (see `histome.qc.focus`) under which tissue is not measured.
    """

    model: str | None = None
    # Between the sharpest of the blurred and the softest of the sharp, see histome.qc.focus.
    out_of_focus_below: float = -1.0


class TissueConfig(Settings):
    """Tissue segmentation, and the zones round the tumor.

    Attributes
    ----------
    model : str
        Name of a model that is shipped, registered or installed, or a path to a card or its folder.
    largest_hole_mm2 : float, mm2
        The most living tissue other than carcinoma that a hole in the tumor may hold to be filled, and so to
        count as tumor core or inner margin; 0 keeps every hole that holds any.
    """

    model: str = "tissue"
    # A disc of 0.5 mm, the width of a margin: all that is filled lies within that of carcinoma.
    largest_hole_mm2: Annotated[float, Field(ge=0.0)] = 0.8


class CellsConfig(Settings):
    """Nucleus detection and classes.

    Attributes
    ----------
    model : str
        Name of a model that is shipped, registered or installed, or a path to a card or its folder.
    abstain_below : float, 0-1, or None
        Confidence under which a cell's class is marked abstained; None for the model's own.
    nuclei : str or None
        File of nuclei to classify and measure, or a folder with a file a slide; None to find them.
    report_unscored : bool
        Whether classes without a held-out score are reported by name, not as "immune, undecided" or the like.
    """

    model: str = "nuclei"
    abstain_below: float | None = Field(default=None, ge=0.0, le=1.0)
    nuclei: str | None = None
    report_unscored: bool = False


Backend = Literal["auto", "openvino", "cuda", "cpu"]
Precision = Literal["auto", "f32", "bf16"]


class RuntimeConfig(Settings):
    """What runs the networks; part of the keys of the stages that run one.

    Attributes
    ----------
    backend : "auto", "openvino", "cuda" or "cpu"
        The latter two are ONNX Runtime; "auto" takes what is fastest on this machine.
    precision : "auto", "f32" or "bf16"
        Of OpenVINO's arithmetic; "auto": the fastest here. Pinned to f32, machines agree but for rounding.
    mirrored : bool
        Whether the mean over a window and its three mirror images is decoded, in four times the time.
    """

    backend: Backend = "auto"
    precision: Precision = "auto"
    mirrored: bool = False


class MetricsConfig(Settings):
    """What is measured.

    Attributes
    ----------
    families : tuple of str
        Ids of metric families, or "core" and "extended"; empty for all.
    confident_only : bool
        Leave out the cells whose class the model abstained from.
    block_um : {250, 500, 1000}, um
        Side of the blocks that intervals draw; 1000 where clusters exceed 100 um, 250 on small pieces.
    draws : int
        How often the blocks are drawn.
    seed : int
        Of the draws.
    edits : str or None
        File of corrections (of `histome view`), or a folder with a file a slide, to be measured with.
    """

    families: tuple[str, ...] = ()
    confident_only: bool = False
    block_um: Literal[250, 500, 1000] = 500
    draws: Annotated[int, Field(ge=1000, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0
    edits: str | None = None


# Each is a row of `narrative.writers.table.WRITERS`.
WriterName = Literal["grounded", "transformers", "openai"]


class NarrativeConfig(Settings):
    """Who writes the narrative.

    Attributes
    ----------
    writer : "grounded", "transformers" or "openai"
        Fixed rules (offline, deterministic), a causal language model on this machine, or an OpenAI-compatible
        endpoint, whose key, if any, is taken from the environment variable HISTOME_API_KEY.
    model, endpoint : str or None
        The language model's folder, or its name at the endpoint; the endpoint's base address, such as
        http://localhost:8000/v1, without name, password or query.
    timeout_s : float, s
        How long a language model is waited for, a whole answer; of one on this machine with its loading.
    max_tokens, retry : int, bool
        The longest text that is asked for; whether a model is told once which sentences failed, and why.
    device, dtype : str
        Where and in what precision a model on this machine runs, such as "cuda" and "bfloat16".
    on_unsupported : "drop" or "refuse"
        Where a sentence is contradicted or refused it goes and the rest stays, or the grounded text is taken.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    writer: WriterName = "grounded"
    model: str | None = None
    endpoint: str | None = None
    timeout_s: Annotated[float, Field(gt=0.0, le=3600.0)] = 60.0
    max_tokens: Annotated[int, Field(ge=16, le=8192)] = 600
    retry: bool = True
    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?|mps)$")] = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    on_unsupported: Literal["drop", "refuse"] = "drop"

    @field_validator("endpoint")
    @classmethod
    def _holds_no_secret(cls, value: str | None) -> str | None:
        """Settings are written to run.json: an address with a password or key in it is refused unseen."""
        if value is not None and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", value):
            raise ValueError(
                "give an address such as http://localhost:8000/v1, without name, password or query; "
                "a key goes into the environment variable HISTOME_API_KEY"
            )
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        needed = {"transformers": ("model",), "openai": ("model", "endpoint")}.get(self.writer, ())
        if missing := [name for name in needed if not getattr(self, name)]:
            raise ValueError(f"the writer {self.writer!r} needs narrative.{missing[0]}")
        return self


class ReportConfig(Settings):
    """What the report shows.

    Attributes
    ----------
    thumbnail_px : int, px
        Longer side of the overview.
    field_um : float, um
        Side of a field of view.
    field_px : int, px
        The most pixels that a field may have a side.
    tile_um : float, um
        Side of the tiles of the phenotype maps.
    max_bytes : int
        Pictures are compressed harder until the file is this small; finer ones of the slide take the rest.
    seed : int
        Of the field and the nuclei that are drawn by lot.
    first_layer : "tissue", "cells" or "qc"
        What lies over the slide when the page is opened.
    reference : str or None
        File of `histome cohort reference`, whose ranges stand beside the key numbers.
    """

    thumbnail_px: Annotated[int, Field(ge=64, le=4096)] = 1400
    field_um: Annotated[float, Field(ge=20.0, le=2000.0)] = 250.0
    field_px: Annotated[int, Field(ge=64, le=4096)] = 1000
    tile_um: Annotated[float, Field(ge=50.0, le=100_000.0)] = 250.0
    max_bytes: Annotated[int, Field(ge=100_000)] = 8_000_000
    seed: Annotated[int, Field(ge=0)] = 0
    first_layer: Literal["tissue", "cells", "qc"] = "tissue"
    reference: str | None = None


class WarningsConfig(Settings):
    """Where warnings begin; they change no number.

    Attributes
    ----------
    low_valid_percent : float, %
        Share of the tissue that passed quality control, under which `MUCH_EXCLUDED` is told.
    low_confidence : float, 0-1
        Mean confidence of the cells' classes, under which `LOW_CONFIDENCE` is told.
    high_abstained_percent : float, %
        Share of the cells that the model abstained on, over which `MANY_ABSTAINED` is told.
    few_cells : int
        Number of cells under which `SMALL_SAMPLE` is told.
    high_unfamiliar_percent : float, %
        Share of the cells in surroundings unlike all in training, over which `TYPES_UNFAMILIAR` is told.
    """

    low_valid_percent: Annotated[float, Field(ge=0.0, le=100.0)] = 80.0
    low_confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    high_abstained_percent: Annotated[float, Field(ge=0.0, le=100.0)] = 20.0
    # Under this the 95 % interval of a share is wider than +-7 points.
    few_cells: Annotated[int, Field(ge=0)] = 200
    # Kept-back fields are over their model's limit in one of twenty; of a slide only most of it is news.
    high_unfamiliar_percent: Annotated[float, Field(ge=0.0, le=100.0)] = 50.0


class Config(Settings):
    """Every setting of a profile; the resolved copy is written to run.json."""

    runtime: RuntimeConfig = RuntimeConfig()
    slide: SlideConfig = SlideConfig()
    roi: RoiConfig = RoiConfig()
    qc: QcConfig = QcConfig()
    tissue: TissueConfig = TissueConfig()
    cells: CellsConfig = CellsConfig()
    metrics: MetricsConfig = MetricsConfig()
    narrative: NarrativeConfig = NarrativeConfig()
    report: ReportConfig = ReportConfig()
    warnings: WarningsConfig = WarningsConfig()

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read overrides of the defaults from a TOML file with one table per sub-tree.

        Raises UsageError, one line, for a file that is missing, not TOML, or holds a wrong setting.
        """
        return read_settings(cls, Path(path))
