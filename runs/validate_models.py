"""Hold the shipped models' recipes against labels that they never saw, and write docs/validation.html.

    python runs/validate_models.py --data ../shared/data
    python runs/validate_models.py --stained 3 --stained-maps 1 --changed 2    # on a busy machine

Held-out sources only (`histome.datasets.splits`), the weights that did not learn from them (runs/recipes), in
32-bit floats. What was found on a field is kept in
`--kept`, by the checksums of the weights and the version of this package: a run that was cut off goes on, and
a new tissue model leaves the results of the nuclei model as they are.
"""

import argparse
import hashlib
import pickle
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import histome
from histome.cells import find_cells
from histome.checks.robustness import Method, metamorphic_rows
from histome.config import CellsConfig
from histome.datasets.fields import IMAGE_MPP, Field, load_fields
from histome.datasets.splits import part_of
from histome.datasets.tissue_fields import FOLDERS, TissueField, load_tissue_fields
from histome.errors import HistomeError
from histome.models.blended import predict_field
from histome.models.card import Card, load_card
from histome.models.label_support import FEW_SCORED
from histome.models.runtime import Network
from histome.slide.plain import array_slide
from histome.validation.evidence import class_evidence, organ_evidence
from histome.validation.maps.tissue import score_tissue
from histome.validation.nuclei import FieldScore, found_from_table, groups_for, score_field, score_tables
from histome.validation.raters.abstention import calibration_rows, coverage_rows
from histome.validation.raters.accuracy import Drawing, Judge
from histome.validation.raters.page import Section, write_page
from histome.validation.staining import CONDITIONS, restain

NUCLEI_SETS = ("consep", "monuseg", "tnbc", "monusac", "crchistophenotypes", "pannuke_figures", "nucls15")
AS_SCANNED = "as scanned"
# Smaller fields hold too few cells for a count to be held to 2 %.
LEAST_SIDE_UM = 200.0
FEWEST_SOURCES = 5
DRAWS = 10_000
DOCS = Path(__file__).parents[1] / "docs"
KIND_WORDS = {
    "cells": "number of cells, %",
    "share of": "share of a class, points",
    "tissue of": "share of a tissue, points",
    "tissue agreement": "tissue agreement",
}
T = TypeVar("T")
F = TypeVar("F", Field, TissueField)


class Kept:
    """Results on disk, one file each, found again by what decides them."""

    def __init__(self, folder: Path) -> None:
        """Keep in a folder, which is made."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, make: Callable[[F], T], fields: Sequence[F], what: str, *key: str) -> list[T]:
        """What was kept of each field under a key, or what `make` returns, which is kept."""
        found = []
        for k, field in enumerate(fields, start=1):
            found.append(self._of(partial(make, field), what, field.data_set, field.name, *key))
            print(f"\r{what}: {k} of {len(fields)} fields", end="", flush=True)
        print()
        return found

    def _of(self, make: Callable[[], T], *key: str) -> T:
        name = hashlib.sha256("\n".join((histome.__version__, *key)).encode()).hexdigest()[:24]
        path = self.folder / f"{name}.pickle"
        if path.exists():
            return pickle.loads(path.read_bytes())  # our own, of an earlier run
        made = make()
        unfinished = path.with_suffix(".partial")
        unfinished.write_bytes(pickle.dumps(made))
        unfinished.replace(path)
        return made


def stained(pixels: NDArray[np.uint8], condition: str) -> NDArray[np.uint8]:
    """The field as another laboratory would have stained it."""
    return pixels if condition == AS_SCANNED else restain(pixels, CONDITIONS[condition])


def held_out_nuclei(data: Path) -> list[Field]:
    """Fields of sources that the nuclei model learned and tuned nothing on."""
    fields = (field for name in NUCLEI_SETS for field in load_fields(data / name, name))
    return [field for field in fields if part_of(field.data_set, field.source) == "held-out"]


def held_out_tissue(data: Path) -> list[TissueField]:
    """The same of the tissue model."""
    return [field for field in load_tissue_fields(data, FOLDERS) if field.part == "held-out"]


def first(fields: Sequence[F], at_most: int, group: Callable[[F], object]) -> list[F]:
    """The first fields of each group."""
    seen: dict[object, int] = {}
    chosen = []
    for field in fields:
        seen[group(field)] = seen.get(group(field), 0) + 1
        if seen[group(field)] <= at_most:
            chosen.append(field)
    return chosen


def score_nuclei(
    fields: Sequence[Field], network: Network, kept: Kept, condition: str = AS_SCANNED
) -> list[FieldScore]:
    """Score each field through the code that profiles a slide."""

    def score(field: Field) -> FieldScore:
        with array_slide(stained(field.image, condition), IMAGE_MPP) as slide:
            cells = find_cells(slide, None, network, CellsConfig())
        return score_field(found_from_table(cells, IMAGE_MPP), field)

    return kept.of(score, fields, f"nuclei, {condition}", network.card.sha256)


def predict_tissue(
    fields: Sequence[TissueField], network: Network, kept: Kept, condition: str = AS_SCANNED
) -> list[NDArray[np.uint8]]:
    """Probabilities of each field, 0-255, in windows as a slide gets them."""

    def predict(field: TissueField) -> NDArray[np.uint8]:
        return predict_field(network, stained(field.image, condition))

    return kept.of(predict, fields, f"tissue, {condition}", network.card.sha256)


def change_pictures(
    fields: Sequence[Field], tissue: Network, nuclei: Network, kept: Kept
) -> list[list[dict[str, Any]]]:
    """Rows of `metamorphic_rows` of each field; one that says why where there is no tissue or cell."""

    def rows(field: Field) -> list[dict[str, Any]]:
        try:
            return metamorphic_rows(field.image, IMAGE_MPP, Method(tissue, nuclei))
        except HistomeError as error:
            return [{"change": "none", "figure": str(error), "holds": False}]

    return kept.of(rows, fields, "metamorphic", tissue.card.sha256, nuclei.card.sha256)


def models_section(
    nuclei: Card, tissue: Card, fields: Sequence[Field], maps: Sequence[TissueField]
) -> Section:
    """Which weights, on how much."""
    rows = [
        {"model": card.name, "version": card.version, "weights": card.sha256[:12], "fields": len(of)}
        | {"sources": len({(f.data_set, f.source) for f in of}), "data_sets": len({f.data_set for f in of})}
        for card, of in ((nuclei, fields), (tissue, maps))
    ]
    text = (
        "Fields of slides and patients that these weights learned and tuned nothing on, split by source "
        "before anything was trained. All were seen through the code that profiles a slide, in 32-bit "
        "floats. What this cannot tell: how the models do on laboratories, scanners and organs that are in "
        "none of these public sets. Labels are their publishers', by one or few people; n is small for many"
        " rows, and is given. Fields were resized to 0.5 um/px as for training, the cards' figures are of "
        "the files as a slide is read: the two differ by up to 0.01, in nucls15, of 186 nuclei, by 0.04."
    )
    return Section("models", "What was tested", text, rows, figure="")


def nuclei_sections(scores: Sequence[FieldScore]) -> list[Section]:
    """Detection, outlines and types: by data set, by organ, by class."""
    tables, organs, classes = score_tables(scores), organ_evidence(scores), class_evidence(scores)
    shown = {
        "detection_f1": "detection F1",
        "pq": "PQ",
        "aji": "AJI",
        "macro_f1_matched": "macro F1 of types",
    }
    by_set = [
        {"measure": shown[key], "label": name, **estimate(table[key]), "fields": table["fields"]}
        for key in shown
        for name, table in tables.items()
        if key in table
    ]
    words = {"detection_f1": "detection F1", "type_allowed": "type that the label allows"}
    by_organ = [
        {"measure": words[key], "label": name, **estimate(table[key])}
        | {
            "fields": table["fields"],
            "nuclei": table["nuclei"],
            "too_small": table["sources"] < FEWEST_SOURCES,
        }
        for key in words
        for name, table in organs.items()
        if key in table
    ]
    by_class = [
        {"label": name, **estimate(table["f1"]), "nuclei": table["n_scored"]}
        | {"too_small": table["n_scored"] < FEW_SCORED}
        for name, table in classes.items()
        if "f1" in table
    ]
    none = ", ".join(name for name, table in classes.items() if "f1" not in table) or "none"
    heat = [
        {
            "row": name,
            "column": key.removeprefix("f1_matched_"),
            "value": figure["value"],
            "n": figure["units"],
        }
        for name, table in tables.items()
        for key, figure in table.items()
        if key.startswith("f1_matched_")
    ]
    return [
        Section(
            "nuclei",
            "Nuclei by data set",
            "A nucleus is found where its center is within 3 um. PQ and AJI are means over fields with true"
            " outlines. Types are of matched nuclei, in the groups that a set's labels tell apart. n is the"
            " number of sources, of fields where there are fewer than five.",
            by_set,
        ),
        Section(
            "organs",
            "By organ and site",
            f"Organs of fewer than {FEWEST_SOURCES} sources are marked: their interval says next to nothing.",
            by_organ,
        ),
        Section(
            "classes",
            "By class",
            "Matched nuclei labeled as one class alone, all data sets together; a nucleus called so against"
            f" its label is a false alarm. Without any such label: {none}. Fewer than {FEW_SCORED} are "
            "marked.",
            by_class,
        ),
        Section("types", "F1 of each group of types", "Of matched nuclei, by data set.", heat, figure="heat"),
    ]


def estimate(figure: dict[str, Any]) -> dict[str, Any]:
    """A card's figure as columns."""
    return {key: figure[key] for key in ("value", "low", "high")} | {"n": figure["units"]}


def abstention_sections(scores: Sequence[FieldScore]) -> list[Section]:
    """F1 against coverage and calibration of each data set with types; fields are drawn whole."""
    sections, figures = [], []
    for name in dict.fromkeys(score.data_set for score in scores):
        given = [(s, s.answers) for s in scores if s.data_set == name and s.answers is not None]
        n = sum(len(answers.true) for _, answers in given)
        if n < FEW_SCORED:
            continue
        true, guess = (np.concatenate([getattr(a, part) for _, a in given]) for part in ("true", "guess"))
        sure = np.concatenate([a.confidence for _, a in given])
        units = np.repeat([s.name for s, _ in given], [len(a.true) for _, a in given])
        drawing = Drawing(np.random.default_rng(0), DRAWS, units)
        judge = Judge(name, guess.astype(np.int16), np.ones(n, bool), sure.astype(np.float64))
        rows = coverage_rows(judge, true, list(groups_for(name)), drawing)
        errors, bins = calibration_rows(judge, true, drawing)
        figures += errors
        text = (
            f"Macro F1 of the surest nuclei, {n:,} in all, by the model's confidence; fields resampled whole."
        )
        sections.append(
            Section(f"coverage_{name}", f"F1 against coverage: {name}", text, rows, figure="curve")
        )
        sections.append(
            Section(
                f"reliability_{name}",
                f"Is the confidence true? {name}",
                "Share right of the nuclei of each step of confidence.",
                bins,
                figure="reliability",
            )
        )
    told = "0 is best for both: confidence that is true, and few errors among the surest."
    return [Section("calibration", "Calibration and risk", told, figures), *sections]


def tissue_scores(maps: Sequence[TissueField], planes: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Every score of the card on fields that were predicted."""
    seen = {
        f.image.tobytes(): p.astype(np.float32) / np.float32(255) for f, p in zip(maps, planes, strict=True)
    }
    return score_tissue(lambda image: seen[image.tobytes()], maps, np.random.default_rng(0))


def tissue_sections(maps: Sequence[TissueField], planes: Sequence[NDArray[np.uint8]]) -> list[Section]:
    """The tissue model by data set and label."""
    rows = [
        {"label": name, **estimate(figure), "too_small": figure["units"] < FEWEST_SOURCES}
        for name, figure in tissue_scores(maps, planes).items()
    ]
    text = (
        "Each against its data set's own labels: IoU or Dice where there are maps, else the share of a "
        "tile's tissue that is given a class which the tile's label allows. n is the number of sources, "
        "resampled whole."
    )
    return [Section("tissue", "Tissue by data set and label", text, rows)]


def stain_sections(by_condition: dict[str, list[FieldScore]], name: str) -> list[Section]:
    """Scores under simulated stain conditions."""
    shown = ("detection_f1", "pq", "macro_f1_matched")
    rows = [
        {
            "row": f"{data_set}, {key}",
            "column": condition,
            "value": table[key]["value"],
            "n": table[key]["units"],
        }
        for condition, scores in by_condition.items()
        for data_set, table in score_tables(scores).items()
        for key in shown
        if key in table
    ]
    n = len(next(iter(by_condition.values())))
    return _stain_sections(rows, name, n)


def tissue_stain_sections(
    maps: Sequence[TissueField], planes: dict[str, list[NDArray[np.uint8]]]
) -> list[Section]:
    """The same of the tissue model."""
    rows = [
        {"row": key, "column": condition, "value": figure["value"], "n": figure["units"]}
        for condition, mine in planes.items()
        for key, figure in tissue_scores(maps, mine).items()
    ]
    return _stain_sections(rows, "tissue", len(maps))


def _stain_sections(rows: list[dict[str, Any]], name: str, n: int) -> list[Section]:
    spread = []
    for row in dict.fromkeys(each["row"] for each in rows):
        values = [each["value"] for each in rows if each["row"] == row]
        known = {"as_scanned": values[0], "least": min(values), "largest": max(values)}
        spread.append({"score": row, **known, "spread": float(np.ptp(values))})
    text = (
        f"{n} fields as scanned and under four simulated stain conditions: weaker (0.7) and stronger (1.35) "
        "stains, their colors farther apart and closer together (a fifth of the way)."
    )
    told = "The largest less the smallest over the conditions: 0 is best."
    if not rows:
        return []
    return [
        Section(f"staining_{name}", f"Under stain conditions: {name}", text, rows, figure="heat"),
        Section(f"spread_{name}", f"Spread over stain conditions: {name}", told, spread, figure=""),
    ]


def change_sections(fields: Sequence[Field], changes: Sequence[Sequence[dict[str, Any]]]) -> list[Section]:
    """How many fields stay within the tolerances when the picture is changed, and by how much they move."""
    rows = [
        {"data_set": f.data_set, "field": f.name, **row}
        for f, mine in zip(fields, changes, strict=True)
        for row in mine
        if row["change"] != "none"
    ]
    kinds = ("cells", "share of", "tissue of", "tissue agreement")
    kind_of = lambda row: max((k for k in kinds if row["figure"].startswith(k)), key=len)  # noqa: E731
    summary = []
    for change in dict.fromkeys(row["change"] for row in rows):
        for kind in kinds:
            mine = [row for row in rows if row["change"] == change and kind_of(row) == kind]
            moved = [row["difference"] for row in mine]
            summary.append(
                {"change": change, "figure": KIND_WORDS[kind], "fields": len(mine)}
                | {"within": sum(row["holds"] for row in mine), "tolerance": mine[0]["tolerance"]}
                | {
                    "median": float(np.median(moved)),
                    "worst": min(moved) if kind == kinds[-1] else max(moved),
                }
            )
    left = sum(mine[0]["change"] == "none" for mine in changes)
    text = (
        f"{len(fields) - left} fields of at least {LEAST_SIDE_UM:g} um a side ({left} without tissue or "
        "cells), turned, mirrored, shifted, on a larger canvas and at 1.25 times the um/px; quality, tissue"
        " and cells anew each time. A field is within where its count moves by at most 2 %, its shares by "
        "at most 2 points, and at least 95 % of its tissue keeps its class."
    )
    heat = [
        {"row": row["change"], "column": row["figure"], "value": row["within"] / max(row["fields"], 1)}
        for row in summary
    ]
    return [
        Section("metamorphic", "What a change of the picture changes", text, summary, figure=""),
        Section("within", "Share of the fields within the tolerance", "1 is all.", heat, figure="heat"),
        Section("metamorphic_fields", "Each field", "The figures of each field.", rows, figure=""),
    ]


def held_out_section(fields: Sequence[Field], maps: Sequence[TissueField]) -> Section:
    """The sources."""
    of = {("nuclei", f.data_set, f.source) for f in fields} | {("tissue", f.data_set, f.source) for f in maps}
    rows = [{"model": model, "data_set": name, "source": source} for model, name, source in sorted(of)]
    return Section("held_out", "Held-out sources", "Slides, patients or organs.", rows, figure="")


def publish(folder: Path, sections: Sequence[Section]) -> None:
    """Write the page and its figures, and copy them into docs/: tables and figures, no picture of tissue."""
    page = write_page(folder, "The shipped models on labels that they never saw", sections)
    figures = DOCS / "images" / "validation"
    figures.mkdir(parents=True, exist_ok=True)
    for old in figures.iterdir():
        old.unlink()
    for path in (*folder.glob("*.svg"), *folder.glob("*.pdf")):
        if path.stem in {section.name for section in sections}:
            shutil.copy(path, figures)
    shutil.copy(page, DOCS / "validation.html")
    print(DOCS / "validation.html")


def network_of(name: str) -> Network:
    """A model in 32-bit floats: the figures do not depend on the processor."""
    card: Card = load_card(Path(__file__).parent / "recipes" / name)
    return Network(card, precision="f32", backend="openvino")


def main() -> None:
    """Compute what is not kept; write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--kept", type=Path, default=Path("runs/out/validate_models"))
    parser.add_argument("--stained", type=int, default=1000, help="fields a data set, of each condition")
    parser.add_argument("--stained-maps", type=int, default=1000, help="the same of the tissue model")
    parser.add_argument("--changed", type=int, default=1000, help="fields a data set that are changed")
    args = parser.parse_args()
    kept, nuclei, tissue = Kept(args.kept), network_of("nuclei"), network_of("tissue")
    fields, maps = held_out_nuclei(args.data), held_out_tissue(args.data)
    scores, planes = score_nuclei(fields, nuclei, kept), predict_tissue(maps, tissue, kept)
    large = [f for f in fields if min(f.image.shape[:2]) * IMAGE_MPP >= LEAST_SIDE_UM]
    changed = first(large, args.changed, lambda f: f.data_set)
    changes = change_pictures(changed, tissue, nuclei, kept)
    few = first(fields, args.stained, lambda f: f.data_set)
    few_maps = first(maps, args.stained_maps, lambda f: f.data_set)
    conditions = (AS_SCANNED, *CONDITIONS)
    sections = [
        models_section(nuclei.card, tissue.card, fields, maps),
        *nuclei_sections(scores),
        *abstention_sections(scores),
        *tissue_sections(maps, planes),
        *stain_sections({name: score_nuclei(few, nuclei, kept, name) for name in conditions}, "nuclei"),
        *tissue_stain_sections(few_maps, {n: predict_tissue(few_maps, tissue, kept, n) for n in conditions}),
        *change_sections(changed, changes),
        held_out_section(fields, maps),
    ]
    publish(args.kept / "page", sections)


if __name__ == "__main__":
    main()
