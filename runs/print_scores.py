"""Write the tables of scores into README.md and docs/models.md, from the cards and what runs/ keeps.

    python runs/print_scores.py            # tests/test_scripts.py asks that this changes nothing
    python runs/print_scores.py FOLDER     # what stands behind each class and organ of another model

The figures are those that shipping wrote into the cards; runs/asked.toml says what was asked. A table stands
between two comments that name it. Evidence is of held-out sources only; a row without any says "no evidence".
"""

import argparse
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.models.card import Card, load_card
from histome.models.label_support import FEW_SCORED, card_support
from histome.models.tasks import CELL_TASKS

HERE = Path(__file__).parent
ROOT = HERE.parent
# The run of runs/leave_organs_out.py in which a data set's held-out organ was left out.
LEFT_OUT = {"consep": "colon", "crchistophenotypes": "colon", "pannuke_figures": "Bile-duct"} | {
    "monusac": "monusac"
}
SHOWN = {"detection_f1": "detection F1", "aji": "AJI", "macro_f1_matched": "macro F1 of types"}
# Fewer held-out sources of a tissue than this are no score of it.
FEW_SOURCES = 3
# Asked of every model, beside the organs that it was scored on.
ROWS = (
    "bladder",
    "breast",
    "colorectum",
    "liver",
    "lung",
    "pancreas",
    "prostate",
    "stomach",
    "primary",
    "metastasis",
)


def figure(entry: Mapping[str, Any] | None) -> str:
    """A value with its interval."""
    if not entry:
        return "-"
    if entry["units"] == 1:  # one source, or one field, has no interval
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as Markdown."""
    lines = [f"| {' | '.join(map(str, line))} |" for line in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])


def asked(card: Card) -> str:
    """What was asked and what was reached."""
    plan = tomllib.loads((HERE / "asked.toml").read_text())
    heads = ("figure", "data set", "asked", "tuning", "held out", plan["version_before"], "organ left out")
    return table(heads, [line for row in plan["row"] for line in _asked_of(row, card, organs_left_out())])


def _asked_of(row: Mapping[str, Any], card: Card, runs: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for name, words in row["data_sets"].items():
        goal, before = (row.get(key, {}).get(name) for key in ("asked", "before"))
        held_out = card.scores["held_out"].get(name, {}).get(row["figure"])
        tuning = card.scores["tuning"].get(name, {}).get(row["figure"])
        away = runs.get(f"{LEFT_OUT.get(name)}_1", {}).get("scores", {}).get(name, {}).get(row["figure"])
        told = figure(held_out)
        if goal and held_out and held_out["value"] >= goal:
            told = f"**{told}**"
        goal, before = (f"{value:.3f}" if value else "" for value in (goal, before))
        yield row["words"], words, goal, figure(tuning), told, before, figure(away)


def short(card: Card) -> str:
    """Held-out figures of the data sets with outlines and of those with types."""
    keys = {"detection_f1": "detection F1", "pq": "PQ", "macro_f1_matched": "macro F1 of types, matched"}
    rows = [
        (f"{name} ({scores['nuclei']:,} nuclei)", *(figure(scores.get(key)) for key in keys))
        for name, scores in card.scores["held_out"].items()
        if "detection_f1" in scores
    ]
    return table(("held out", *keys.values()), rows)


def organs_left_out() -> dict[str, Any]:
    """What runs/leave_organs_out.py kept, by organ and seed."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "organs").glob("*.json"))}


def left_out(_: Card) -> str:
    """Each run without an organ, each data set that it was scored on."""
    keys = {"detection_f1": "detection F1", "pq": "PQ", "macro_f1_matched": "macro F1, matched"}
    keys["f1_matched_Epithelial"] = "healthy epithelium, F1"
    about = ("left_out", "seed", "steps")
    rows = [
        (
            *(run[key] for key in about),
            name,
            *(scores[key] for key in ("nuclei", "fields")),
            *(figure(scores.get(key)) for key in keys),
        )
        for run in organs_left_out().values()
        for name, scores in run["scores"].items()
    ]
    heads = ("left out", "seed", "steps", "data set", "nuclei", "fields")
    return table((*heads, *keys.values()), rows)


def experiments(_: Card) -> str:
    """Each run of runs/small_experiments.py on the tuning sources, the largest mean PQ first."""
    runs = [json.loads(path.read_text()) for path in sorted((HERE / "experiments").glob("*.json"))]
    heads, columns = ["one thing changed", "seed", "CPU-hours", "M weights"], []
    for key, word in (
        ("pq", "PQ"),
        ("detection_f1", "detection F1"),
        ("macro_f1_matched", "macro F1 of types"),
    ):
        found = [
            {n: s[key]["value"] for n, s in run["scores"].items() if "value" in (s.get(key) or {})}
            for run in runs
        ]
        names = [name for name in found[0] if all(name in each for each in found)]
        heads += [f"{word}, mean", " / ".join(names)]
        columns.append([[each[name] for name in names] for each in found])
    rows = []
    for run, *values in zip(runs, *columns, strict=True):
        told = [f"{run['cpu_hours']:.2f}", f"{run['parameters'] / 1e6:.1f}"]
        for each in values:
            told += [f"{sum(each) / len(each):.3f}", " / ".join(f"{value:.3f}" for value in each)]
        rows.append((run["name"], run["seed"], *told))
    return table(heads, sorted(rows, key=lambda row: row[4], reverse=True))


def robustness(card: Card) -> str:
    """Largest less smallest score over conditions."""
    found, rows = card.scores["robustness"], []
    spreads = ("spread_over_stains", "spread_over_resolutions")
    for key, words in SHOWN.items():
        names = [name for name, scores in found[spreads[0]].items() if key in scores]
        told = (" / ".join(f"{found[spread][name][key]:.3f}" for name in names) for spread in spreads)
        rows.append((f"{words}: {' / '.join(names)}", *told))
    return table(("", "over stains", "over resolutions"), rows)


def coverage(card: Card) -> str:
    """Macro F1 of the surest share of the matched nuclei."""
    curves = card.scores["coverage"]
    shares = [point["coverage"] for point in next(iter(curves.values()))]
    told = {name: [f"{point['macro_f1']:.3f}" for point in curve] for name, curve in curves.items()}
    rows = [(name, curve[0]["n"], *told[name]) for name, curve in curves.items()]
    return table(("coverage", "n", *map(str, shares)), rows)


def calibration(card: Card) -> str:
    """Calibration error of the types."""
    key, parts = "calibration_error", ("tuning", "held_out")
    names = [name for name, scores in card.scores["held_out"].items() if key in scores]
    rows = [(name, *(figure(card.scores[part].get(name, {}).get(key)) for part in parts)) for name in names]
    return table(("calibration error", "tuning", "held out"), rows)


def classes(card: Card) -> str:
    """Each class: how it was learned, what is labeled as it alone on held-out fields, and F1."""
    cells = card.task in CELL_TASKS
    scored, support = card.scores.get("classes", {}), card_support(card)
    rows = []
    for name in CELL_CLASSES if cells else TISSUE_CLASSES:
        entry = scored.get(name, {})
        n = entry.get("n_scored", 0)
        told = figure(entry.get("f1")) if n >= (FEW_SCORED if cells else FEW_SOURCES) else "no evidence"
        rows.append((name, support.get(name, "not known"), n, told))
    return table((card.name, "trained", "n scored" if cells else "sources scored", "F1"), rows)


def organs(card: Card) -> str:
    """Each organ: held-out fields, of cells their number and detection F1, share that the label allows."""
    scored = card.scores.get("organs", {})
    heads = {"fields": "fields", "nuclei": "nuclei", "detection_f1": "detection F1"}
    if card.task not in CELL_TASKS:
        heads = {"fields": "fields", "sources": "sources"}
    heads["type_allowed"] = "class allowed by the label"
    rows = []
    for name in (*ROWS, *sorted(set(scored) - set(ROWS))):
        entry = scored.get(name, {})
        rows.append((name, *(cell(entry, key) for key in heads)))
    return table((card.name, *heads.values()), rows)


def cell(entry: Mapping[str, Any], key: str) -> object:
    """A number of a row, or a figure with its interval."""
    if key in ("fields", "sources", "nuclei"):
        return entry.get(key, 0)
    return figure(entry.get(key)) if entry else "no evidence"


TABLES = {
    "README.md": {"nuclei": (short,)},
    "docs/models.md": {
        "nuclei": (asked, left_out, experiments, robustness, calibration, coverage, classes, organs),
        "tissue": (classes, organs),
    },
}


def filled(page: str, tables: Mapping[str, Sequence[Callable[[Card], str]]]) -> str:
    """A page with its tables made anew."""
    for name, makers in tables.items():
        card = load_card(name)
        for make in makers:
            mark = f"<!-- {name}: {make.__name__} -->\n"
            before, found, rest = page.partition(mark)
            if not found:
                raise SystemExit(f"the page has no line {mark.strip()}")
            _, end, rest = rest.partition("<!-- end -->")
            page = f"{before}{mark}\n{make(card)}\n\n{end}{rest}"
    return page


def main() -> None:
    """Write the tables of the shipped models, or print those of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?")
    model = parser.parse_args().model
    if model:
        card = load_card(model)
        print(f"{classes(card)}\n\n{organs(card)}")
    else:
        for name, tables in TABLES.items():
            page = ROOT / name
            page.write_text(filled(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
