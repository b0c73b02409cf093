"""How robust labels and tokens are: cells dropped, merged, mistyped at 5, 10 and 20 %, and a paler stain.

    python runs/evaluate_tokens.py --data ../shared/data --out runs/out/tokens

The true cells of the fields of consep and pannuke_figures that have at least 50; what differs is what
the same cells give after the change. Paler stain: the density of both stains less 5, 10, 20 %, the cells
those that the shipped model finds, against those it finds in the unchanged image. A label that goes for
want of cells has changed; an axis without a label in any field has no share. Printed: the share of the
labels of each axis, and of the tokens, that change, with a 95 % interval over fields; `tokens.svg`:
curves.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from choose_axes import cells_of
from matplotlib import pyplot

from histome.cells import find_cells
from histome.datasets.fields import IMAGE_MPP, Field, load_fields
from histome.models.registry import find_model, open_model
from histome.models.tasks import CELL_TASKS
from histome.phenotype.axes import phenotypes
from histome.phenotype.features import PatchCells, measure_cells
from histome.phenotype.patch import pannuke_cells
from histome.phenotype.perturbed import PERTURBED
from histome.phenotype.tokens import Interpretation, interpret
from histome.slide.plain import array_slide
from histome.validation.resampling import bootstrap, ratio
from histome.validation.staining import Condition, restain

SHARES, FEWEST, DRAWS = (0.05, 0.10, 0.20), 50, 5


def read_cells(cells: PatchCells) -> Interpretation:
    """Labels and tokens of cells in um, by the rules that a tile or patch has them."""
    return interpret(measure_cells(cells, unit="um"), unit="um", fewest_cells=phenotypes().fewest_cells)


def changes(before: Interpretation, after: Interpretation) -> np.ndarray:
    """Labels that changed and that there were, for each axis, then of the tokens."""
    there = [name for name in AXES if before.labels[name] is not None]
    pairs = [(name in there and before.labels[name] != after.labels[name], name in there) for name in AXES]
    told, now = set(before.tokens), set(after.tokens)
    return np.array([*(each for pair in pairs for each in pair), len(told ^ now), len(told | now)], float)


AXES = tuple(phenotypes().axes)


def of_labels(fields: list[Field]) -> Iterator[tuple[str, float, np.ndarray]]:
    """Each kind of error and share, with the changes of each field."""
    kept = [cells_of(field) for field in fields]
    for kind, perturb in PERTURBED.items():
        for share in SHARES:
            rng = np.random.default_rng(round(1000 * share))
            rows = [
                sum(changes(read_cells(c), read_cells(perturb(c, share, rng))) for _ in range(DRAWS))
                for c in kept
            ]
            yield kind, share, np.array(rows)


def of_stain(fields: list[Field]) -> Iterator[tuple[str, float, np.ndarray]]:
    """The same for a paler stain, by the shipped model."""
    network = open_model(find_model("nuclei", task=CELL_TASKS), threads=1)

    def seen(rgb: np.ndarray) -> Interpretation:
        return read_cells(pannuke_cells(find_cells(array_slide(rgb, IMAGE_MPP), None, network, workers=1))[0])

    before = [seen(field.image) for field in fields]
    for share in SHARES:
        paler = Condition(intensity=1 - share)
        rows = [changes(b, seen(restain(f.image, paler))) for b, f in zip(before, fields, strict=True)]
        yield "paler stain", share, np.array(rows)


def table(found: list[tuple[str, float, np.ndarray]]) -> Iterator[str]:
    """Markdown: a row a kind and share, above those of a kind the fields with a label, or with tokens."""
    yield f"| change | share | {' | '.join(AXES)} | tokens |"
    yield "|---" * (len(AXES) + 3) + "|"
    told = set[str]()
    for kind, share, rows in found:
        if kind not in told:  # of the cells before the change, so the same for each share
            told.add(kind)
            n = np.count_nonzero(rows[:, 1::2], axis=0)
            yield f"| {kind} | n | {' | '.join(map(str, n))} |"
        cells = []
        for k in range(len(AXES) + 1):
            e = estimate(rows[:, 2 * k : 2 * k + 2])
            cells.append(f"{100 * e.value:.0f} [{100 * e.low:.0f}, {100 * e.high:.0f}]")
        yield f"| {kind} | {100 * share:.0f} % | {' | '.join(cells)} |"


def estimate(parts: np.ndarray):
    """A share of changed, by resampling fields."""
    groups = [str(k) for k in range(len(parts))]
    return bootstrap(parts, groups, ratio, rng=np.random.default_rng(0))


def draw(found: list[tuple[str, float, np.ndarray]], path: Path) -> None:
    """A panel a kind of change, a curve an axis."""
    kinds = list(dict.fromkeys(kind for kind, _, _ in found))
    figure, places = pyplot.subplots(
        1, len(kinds), figsize=(3 * len(kinds), 3), sharey=True, layout="constrained"
    )
    for place, kind in zip(places, kinds, strict=True):
        mine = [(share, rows) for name, share, rows in found if name == kind]
        for k, axis in enumerate((*AXES, "tokens")):
            values = [0, *(100 * estimate(rows[:, 2 * k : 2 * k + 2]).value for _, rows in mine)]
            style = {"color": "black", "linewidth": 2} if axis == "tokens" else {}
            place.plot([0, *(100 * share for share, _ in mine)], values, marker=".", label=axis, **style)
        place.set(title=kind, xlabel="% of the cells" if kind != "paler stain" else "% less density")
    places[0].set_ylabel("% that change")
    places[0].legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/tokens"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    labeled = [f for name in ("consep", "pannuke_figures") for f in load_fields(args.data / name, name)]
    fields = [field for field in labeled if len(cells_of(field).code) >= FEWEST]
    print(f"{len(fields)} fields")
    found = [*of_labels(fields), *of_stain(fields)]
    lines = list(table(found))
    (args.out / "tokens.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    draw(found, args.out / "tokens.svg")


if __name__ == "__main__":
    main()
