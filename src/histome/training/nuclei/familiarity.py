"""What a nuclei model is told of itself: what its labeled fields were like, and how far is too far."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histome.cells.familiarity import strangeness, summarize_signs
from histome.cells.find import find_nuclei
from histome.cells.windows import signs_of, start_search
from histome.datasets.fields import IMAGE_MPP, Field
from histome.datasets.splits import Split
from histome.models.card import Familiarity
from histome.models.runtime import Predictor
from histome.slide.plain import array_slide
from histome.tissue import whole_field

# Share of the fields that lie within the limit, and of a unit matrix in the correlations of the features.
WITHIN, SHRINKAGE = 0.95, 0.05
# More fields of one data set say nothing new; fewer in all than twice the features are no sample.
MOST_FIELDS, FEWEST_FIELDS = 40, 16
Rows = NDArray[np.float64]


def fit_familiarity(split: Split, network: Predictor) -> Familiarity | None:
    """Return what is known to a model: of its training fields, with the limit of them and the tuning fields.

    Each data set weighs the same. The limit is the larger of two distances, of 95 % of the training fields
    and of 95 % of the tuning fields, whose sources (organs, where sources are organs) were kept back. None
    where too few fields have enough cells.
    """
    learned, weights = field_signs(split.train, network)
    if len(learned) < FEWEST_FIELDS:
        return None
    known = _whitened(learned, weights)
    kept_back, kept_weights = field_signs(split.tuning, network)
    limit = max(
        _quantile(strangeness(rows, known), mine, WITHIN)
        for rows, mine in ((learned, weights), (kept_back, kept_weights))
        if len(rows)
    )
    whitening = np.array(known.whitening) / limit
    return Familiarity(mean=known.mean, whitening=tuple(map(tuple, whitening.round(6).tolist())))


def field_signs(fields: Sequence[Field], network: Predictor) -> tuple[Rows, NDArray[np.float64]]:
    """Return the features of fields with enough cells, (n, 8), and their weights: each data set the same."""
    rows, names = [], []
    for name in dict.fromkeys(field.data_set for field in fields):
        mine = [field for field in fields if field.data_set == name]
        for field in mine[:: -(-len(mine) // MOST_FIELDS)]:
            found = signs_in(field.image, network)
            if np.isfinite(found).all():
                rows.append(found)
                names.append(name)
    counts = {name: names.count(name) for name in names}
    weights = np.array([1 / counts[name] / len(counts) for name in names])
    return np.array(rows), weights


def signs_in(image: NDArray[np.uint8], network: Predictor) -> NDArray[np.float64]:
    """Return the features of one image at `IMAGE_MPP`, (8,); NaN where it has too few cells."""
    slide = array_slide(image, IMAGE_MPP, name="field")
    found = find_nuclei(start_search(slide, whole_field(slide), network))
    return summarize_signs(signs_of(found.file.nuclei(found.rows)))


def _whitened(rows: Rows, weights: NDArray[np.float64]) -> Familiarity:
    """Mean and whitening of weighted rows: correlations shrunken towards none, spreads kept."""
    mean = weights @ rows
    spread = np.sqrt(weights @ (rows - mean) ** 2) + 1e-9
    scaled = (rows - mean) / spread
    correlation = (1 - SHRINKAGE) * (scaled * weights[:, None]).T @ scaled + SHRINKAGE * np.eye(len(mean))
    values, vectors = np.linalg.eigh(correlation)
    whitening = (vectors / np.sqrt(values)).T / spread
    return Familiarity(mean=tuple(mean.round(6).tolist()), whitening=tuple(map(tuple, whitening.tolist())))


def _quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """Smallest value that `share` of the weight does not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) >= share * weights.sum() - 1e-12
    return float(values[order][reached.argmax()])
