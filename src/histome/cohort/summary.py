"""summary.html: a row a slide, with what stands out."""

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

import histome
from histome.cohort.child import THUMBNAILS
from histome.cohort.manifest import CohortSlide
from histome.cohort.status import CohortStatus, SlideStatus
from histome.store.disk import writing
from histome.store.files import REPORT_PAGE
from histome.store.profile import read_run
from histome.store.runner import RESEARCH_USE

SUMMARY_NAME = "summary.html"
# A robust z over 3.5 (Iglewicz and Hoaglin 1993, ISBN 9780873892476), and enough slides to say what is usual.
FAR, LEAST_SLIDES = 3.5, 8
_THUMBNAIL_BYTES = 60_000


class Sign(NamedTuple):
    """A number by which slides are compared, from run.json; areas and counts on a scale of logarithms."""

    title: str
    unit: str
    of: Callable[[Mapping[str, Any]], float | None]
    logarithm: bool = False
    digits: int = 3


def _quotient(above: float | None, below: float | None, factor: float = 1.0) -> float | None:
    return factor * above / below if above is not None and below else None


def _carcinoma_percent(run: Mapping[str, Any]) -> float | None:
    areas = run["tissue"]["mm2"]
    return _quotient(areas["CARCINOMA"], sum(areas.values()), 100.0)


SIGNS = (
    Sign("valid tissue", "mm²", lambda run: run["quality"]["valid_mm2"], logarithm=True),
    Sign("valid", "% of tissue", lambda run: run["quality"]["valid_percent"]),
    Sign("cells", "", lambda run: run["cells"]["counted"], logarithm=True, digits=0),
    Sign(
        "cell density",
        "per mm²",
        lambda run: _quotient(run["cells"]["counted"], run["quality"]["valid_mm2"]),
        logarithm=True,
        digits=0,
    ),
    Sign("carcinoma", "% of area", _carcinoma_percent),
    Sign("median nucleus", "µm²", lambda run: run["cells"]["median_nucleus_um2"]),
    Sign("nuclear contrast", "", lambda run: run["cells"]["nuclear_contrast"]),
    Sign("not classified", "% of cells", lambda run: run["cells"]["abstained_percent"]),
)


class Cell(NamedTuple):
    """A number of a row as it is shown, and where it stands out from the other slides in words."""

    text: str
    outlier: str


class Row(NamedTuple):
    """One slide of the page."""

    slide: CohortSlide
    status: SlideStatus
    picture: str
    report: str
    cells: list[Cell]


def write_summary(status: CohortStatus, slides: Sequence[CohortSlide]) -> Path:
    """Write the page from what the profiles say of themselves, and return its path."""
    out = status.out
    runs = [_run_of(out, slide, status) for slide in slides]
    columns = [_column(sign, [_value(sign, run) for run in runs]) for sign in SIGNS]
    rows = [
        Row(slide, status.slides[slide.slide], _picture(out, slide), _report(out, slide), list(cells))
        for slide, *cells in zip(slides, *columns, strict=True)
    ]
    place = Environment(
        loader=PackageLoader("histome.cohort", "templates"), autoescape=True, undefined=StrictUndefined
    )
    page = place.get_template("summary.html.j2").render(
        rows=sorted(rows, key=_gravest),
        signs=SIGNS,
        counts={state: count for state, count in status.counts.items() if count},
        hours=status.seconds / 3600,
        state=status.state,
        far=FAR,
        least=LEAST_SLIDES,
        version=histome.__version__,
        notice=RESEARCH_USE,
    )
    partial = out / f".{SUMMARY_NAME}.partial"
    with writing(out):
        partial.write_text(page, encoding="utf-8")
        partial.replace(out / SUMMARY_NAME)
    return out / SUMMARY_NAME


def _gravest(row: Row) -> tuple[int, str]:
    """What needs eyes comes first: failed, refused, outliers, warnings."""
    order = ("failed", "refused", "running", "waiting", "done", "left out")
    outliers = any(cell.outlier for cell in row.cells)
    return 10 * order.index(row.status.state) - 2 * outliers - bool(row.status.warnings), row.slide.slide


def _run_of(out: Path, slide: CohortSlide, status: CohortStatus) -> Mapping[str, Any]:
    return read_run(out / slide.slide) if status.slides[slide.slide].state == "done" else {}


def _value(sign: Sign, run: Mapping[str, Any]) -> float | None:
    try:
        return sign.of(run)
    except (LookupError, TypeError):  # its stage was not asked for
        return None


def _column(sign: Sign, values: Sequence[float | None]) -> list[Cell]:
    far = outliers(values, logarithm=sign.logarithm)
    return [Cell(_shown(value, sign.digits), said) for value, said in zip(values, far, strict=True)]


def outliers(values: Sequence[float | None], *, logarithm: bool = False) -> list[str]:
    """Return, a value each, how it stands out from the others in words; empty where it does not.

    It does where 0.6745 times its distance from the median is more than 3.5 median absolute deviations; of
    fewer than 8 values none does, nor where more than half are the same.
    """
    known = np.array([np.nan if value is None else float(value) for value in values])
    if logarithm:
        with np.errstate(divide="ignore", invalid="ignore"):
            known = np.where(known > 0, np.log(known), np.nan)
    there = known[np.isfinite(known)]
    spread = float(np.median(np.abs(there - np.median(there)))) if len(there) >= LEAST_SLIDES else 0.0
    if not spread:
        return [""] * len(known)
    scores = 0.6745 * (known - np.median(there)) / spread
    return ["" if not abs(z) > FAR else "far above" if z > 0 else "far below" for z in scores]


def _shown(value: float | None, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if digits == 0 or abs(value) >= 1000 else f"{value:.{digits}g}"


def _picture(out: Path, slide: CohortSlide) -> str:
    """Return the small picture as a data URI; empty where there is none."""
    try:
        data = (out / THUMBNAILS / f"{slide.slide}.jpg").read_bytes()
    except OSError:
        return ""
    fits = len(data) <= _THUMBNAIL_BYTES
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if fits else ""


def _report(out: Path, slide: CohortSlide) -> str:
    """Return the link to a slide's report; empty where it has none."""
    there = (out / slide.slide / "report" / REPORT_PAGE).is_file()
    return f"{quote(slide.slide)}/report/{REPORT_PAGE}" if there else ""
