"""Scores of images by tissue, cancer, scanner and their crossings: maps and outlines, as of cells."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
from histome.validation.raters.page import Section
from histome.validation.raters.strata import heat_rows, spread, stratum_of
from histome.validation.resampling import bootstrap

# Of images: an interval of fewer says next to nothing.
FEW_IMAGES = 5
_Score = Callable[[NDArray[np.floating]], NDArray[np.floating]]


class ImageStrata(NamedTuple):
    """What each image is of: `of` (n,) in the order of the images, and the columns that it was made of."""

    of: NDArray[np.str_]
    by: tuple[str, ...]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, str]], images: Sequence[str], by: Sequence[str]) -> Self:
        """The strata of images by a table with a column image; DataError for one that is not in it."""
        of_image = {row.get("image", ""): row for row in rows}
        missing = [name for name in images if name not in of_image]
        if missing:
            raise DataError(f"the table of images has no row of {missing[0]} ({len(missing)} missing).")
        mine = [of_image[name] for name in images]
        columns = {name: np.array([row[name] for row in mine]) for name in mine[0] if name != "image"}
        return cls(stratum_of(columns, by), tuple(by))

    def sections(
        self,
        parts: NDArray[np.floating],
        score: _Score,
        measure: str,
        *,
        rng: np.random.Generator,
        draws: int,
    ) -> list[Section]:
        """A score of summed parts (n, k), a row an image, in each stratum: worst first, too small last."""
        rows: list[dict[str, Any]] = []
        for name in np.unique(self.of).tolist():
            mine = parts[self.of == name]
            found = bootstrap(mine, [str(k) for k in range(len(mine))], score, rng=rng, draws=draws)
            small = len(mine) < FEW_IMAGES
            rows.append({"stratum": name, "measure": measure, **found.row(), "too_small": small})
        rows.sort(key=lambda row: (row["too_small"], np.nan_to_num(row["value"], nan=2.0)))
        known = [row["value"] for row in rows if row["value"] == row["value"]]
        mean = float(np.mean(known)) if known else float("nan")
        apart = spread(rows)
        worst = f" The worst is {apart['spread']:.3f} under the best ({apart['best']})." if apart else ""
        text = (
            f"{measure}, worst first; images resampled whole. Its mean over the strata, each counted once, "
            f"is {mean:.3f}.{worst} Strata of fewer than {FEW_IMAGES} images are marked too small."
        )
        of = " and ".join(self.by)
        crossed = len(self.by) == 2
        heat = [Section("heat_map", "Heat map", f"{measure} by {of}.", heat_rows(rows), figure="heat")]
        return [Section("strata", f"By {of}", text, rows), *(heat if crossed else [])]
