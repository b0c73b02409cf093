"""Texts with known faults: random facts told in other words than the grounded writer's, half of them corrupted.

Each text is made of templates; a corrupted one has one sentence in which one thing is changed and known to be
false: a number, a class, a unit, a phenotype, a finding, or a clinical statement is added. Some phrases use
words that the verifier does not know.
"""

# ruff: noqa: E501  (one template a line)

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from histome.phenotype.axes import PANNUKE_CLASSES
from histome.phenotype.tokens import interpret

EXCHANGED = ("number", "class", "swap", "unit")
KINDS = (*EXCHANGED, "phenotype", "finding", "clinical")


class Made(NamedTuple):
    """A text with its facts; `false` is the index of the corrupted sentence, None in a true text."""

    facts: dict[str, Any]
    sentences: list[str]
    false: int | None
    kind: str


def make_texts(n: int, seed: int) -> list[Made]:
    """Return n texts, on patches and slides in turn, every second pair corrupted, the kinds in turn."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        kind = KINDS[(k // 4) % len(KINDS)] if k % 4 >= 2 else ""
        made.append(_make(_patch if k % 2 else _slide, kind, rng))
    return made


def _make(source: Callable[..., Any], kind: str, rng: np.random.Generator) -> Made:
    facts, templates, phenotypes = source(rng)
    chosen = [templates[i] for i in rng.choice(len(templates), 4, replace=False)]
    if kind in EXCHANGED:  # one that can be corrupted in this way must be among them
        able = (templates[i] for i in rng.permutation(len(templates)))
        chosen[0] = next(t for t in able if _corrupted(t, "", kind, rng))
    sentences = [template(rng) for template in chosen]
    sentences += [str(rng.choice(phenotypes(True)))]
    if not kind:
        return Made(facts, sentences, None, "")
    if kind in EXCHANGED:
        for at in rng.permutation(len(chosen)):
            false = _corrupted(chosen[at], sentences[at], kind, rng)
            if false:
                sentences[at] = false
                return Made(facts, sentences, int(at), kind)
        raise AssertionError("no sentence can be corrupted")
    added = {"phenotype": phenotypes(False), "finding": _FINDINGS, "clinical": _CLINICAL}[kind]
    sentences[-1] = str(rng.choice(added))
    return Made(facts, sentences, 4, kind)


_FINDINGS = [
    "Perineural invasion is seen at the edge of the field.",
    "There are several mitoses among the tumor cells.",
    "CD8-positive T cells surround the tumor.",
    "Calcifications lie within the stroma.",
    "Eosinophils are scattered between the cells.",
    "PD-L1 is expressed on most of the tumor.",
]
_CLINICAL = [
    "These findings point to a favorable prognosis.",
    "The patient may benefit from immunotherapy.",
    "Treatment with chemotherapy is recommended.",
    "The pattern is associated with longer survival.",
    "This is consistent with a high-grade carcinoma, stage II.",
]


class Told(NamedTuple):
    """A sentence as a function of its slots: (text of the number, class words, unit); all can be exchanged."""

    form: str
    slots: dict[str, tuple[str, str]]  # name -> (printed number, unit)
    classes: dict[str, str]
    rivals: dict[str, list[str]]  # class slot -> other words that make it false
    units: dict[str, list[str]]  # number slot -> units that make it false

    def __call__(self, rng: np.random.Generator) -> str:
        return self.fill({}, {}, {})

    def fill(self, numbers: dict[str, str], classes: dict[str, str], units: dict[str, str]) -> str:
        """Return the sentence with some slots exchanged."""
        values = {name: numbers.get(name, text) for name, (text, _) in self.slots.items()}
        printed = {f"{name}_u": units.get(name, unit) for name, (_, unit) in self.slots.items()}
        text = self.form.format(**values, **printed, **(self.classes | classes))
        return text[:1].upper() + text[1:]


def _corrupted(told: Told, true: str, kind: str, rng: np.random.Generator) -> str | None:
    if kind == "number":
        name = str(rng.choice(list(told.slots)))
        return told.fill({name: _other_number(told.slots[name][0], rng)}, {}, {})
    if kind == "class" and told.rivals:
        name = str(rng.choice(list(told.rivals)))
        return told.fill({}, {name: str(rng.choice(told.rivals[name]))}, {}) if told.rivals[name] else None
    if kind == "swap" and {"x", "y"} <= told.classes.keys() and len(told.slots) > 1:
        return told.fill({}, {"x": told.classes["y"], "y": told.classes["x"]}, {})
    if kind == "unit" and told.units:
        name = str(rng.choice(list(told.units)))
        return told.fill({}, {}, {name: str(rng.choice(told.units[name]))})
    return None


def _other_number(text: str, rng: np.random.Generator) -> str:
    """Return the number with one digit changed, never a leading digit to 0."""
    places = [i for i, c in enumerate(text) if c.isdigit()]
    at = int(rng.choice(places[: max(1, len(places) - 1)]))
    digits = [d for d in "123456789" if d != text[at]]
    return text[:at] + str(rng.choice(digits)) + text[at + 1 :]


def _number(value: float, rng: np.random.Generator, *, whole: bool = False) -> str:
    if whole:
        return f"{value:,.0f}" if rng.random() < 0.6 else f"{value:.0f}"
    return f"{value:.{int(rng.integers(1, 3))}f}"


def _patch(rng: np.random.Generator) -> tuple[dict[str, Any], list[Told], Callable[[bool], list[str]]]:
    raw = _patch_numbers(rng)
    found = interpret(raw, unit="um")
    units = {name: "um2" if "area" in name else "um" if "_dist_" in name else None for name in raw}
    facts = {
        "raw_data": raw,
        "interpretation": found.labels,
        "generated_tokens": found.tokens,
        "units": {name: unit for name, unit in units.items() if unit},
    }
    return facts, _patch_sentences(raw, rng), lambda true: _patch_phenotypes(found.labels, found.tokens, true)


def _patch_numbers(rng: np.random.Generator) -> dict[str, Any]:
    weights = rng.dirichlet([1.5, 1.5, 1.0, 0.4, 0.7])
    counts = (weights * rng.integers(200, 6000)).astype(int) + np.array([5, 5, 4, 3, 2])
    total = int(counts.sum())
    raw: dict[str, Any] = {"total_cell_count": total}
    raw |= {f"count_{name}": int(c) for name, c in zip(PANNUKE_CLASSES, counts, strict=True)}
    raw |= {f"ratio_{name}": int(c) / total for name, c in zip(PANNUKE_CLASSES, counts, strict=True)}
    raw |= {f"mean_area_{name}": float(rng.uniform(8, 80)) for name in PANNUKE_CLASSES}
    raw["tumor_stroma_fraction"] = counts[0] / (counts[0] + counts[2])
    raw["immune_infiltration_fraction"] = counts[1] / (counts[0] + counts[1])
    raw["min_dist_Inflammatory_to_Neoplastic"] = float(rng.uniform(2, 6))
    raw["mean_dist_Inflammatory_to_Neoplastic"] = float(rng.uniform(7, 60))
    raw["count_engaged_immune"] = int(rng.integers(1, counts[1]))
    raw["mean_spatial_entropy"] = float(rng.uniform(0.1, 1.6))
    return {name: float(v) if isinstance(v, np.floating) else v for name, v in raw.items()}


_WORDS = {
    "Neoplastic": ["neoplastic", "malignant", "tumor"],
    "Inflammatory": ["inflammatory", "immune"],
    "Connective": ["connective", "stromal"],
    "Dead": ["dead"],
    "Epithelial": ["epithelial", "non-neoplastic epithelial"],
}


def _patch_sentences(raw: dict[str, Any], rng: np.random.Generator) -> list[Told]:
    word = {name: str(rng.choice(words)) for name, words in _WORDS.items()}
    a, b, c = (str(name) for name in rng.choice(PANNUKE_CLASSES[:3], 3, replace=False))

    less, more = sorted((a, b), key=lambda name: raw[f"count_{name}"])
    small, large = sorted((a, b), key=lambda name: raw[f"mean_area_{name}"])
    first = max(PANNUKE_CLASSES, key=lambda name: raw[f"count_{name}"])

    def count(name: str) -> tuple[str, str]:
        return _number(raw[f"count_{name}"], rng, whole=True), ""

    def share(name: str) -> tuple[str, str]:
        return _number(100 * raw[f"ratio_{name}"], rng), str(rng.choice(["%", " %", " percent"]))

    def area(name: str) -> tuple[str, str]:
        return _number(raw[f"mean_area_{name}"], rng), str(rng.choice([" µm²", " um2", " square microns"]))

    def others(*names: str) -> list[str]:
        return [word[name] for name in PANNUKE_CLASSES if name not in names]

    total = (_number(raw["total_cell_count"], rng, whole=True), "")
    mean = (_number(raw["mean_dist_Inflammatory_to_Neoplastic"], rng), " µm")
    least = (_number(raw["min_dist_Inflammatory_to_Neoplastic"], rng), " µm")
    fraction = (_number(100 * raw["tumor_stroma_fraction"], rng), "%")
    infiltration = (_number(100 * raw["immune_infiltration_fraction"], rng), " %")
    engaged = (_number(raw["count_engaged_immune"], rng, whole=True), "")
    entropy = (f"{raw['mean_spatial_entropy']:.2f}", " bits")
    wrong_share, wrong_area, wrong_length = [" µm²", " px"], [" %", " mm²", " px²"], [" mm", " px", " %"]
    x, y = {"x": word[a]}, {"x": word[a], "y": word[b]}
    return [
        Told("a total of {n}{n_u} nuclei were segmented", {"n": total}, {}, {}, {"n": [" µm", " %"]}),
        Told("{x} cells constitute {s}{s_u} of the population", {"s": share(a)}, x, {"x": others(a)}, {"s": wrong_share}),
        Told("of these nuclei, {n}{n_u} are {x} ({s}{s_u})", {"n": count(a), "s": share(a)}, x, {"x": others(a)}, {"s": wrong_share}),
        Told("{n}{n_u} {x} and {m}{m_u} {y} cells are found", {"n": count(a), "m": count(b)}, y, {"x": others(a)}, {}),
        Told("{x} cells account for {s}{s_u} and {y} cells for {t}{t_u} of all nuclei", {"s": share(a), "t": share(b)}, y, {"y": others(a, b)}, {"t": wrong_share}),
        Told("the share of {x} nuclei is {s}{s_u}, whereas {y} nuclei make up {t}{t_u}", {"s": share(b), "t": share(c)}, {"x": word[b], "y": word[c]}, {"x": others(b, c)}, {"s": wrong_share}),
        Told("{x} nuclei measure {a}{a_u} on average", {"a": area(a)}, x, {"x": others(a)}, {"a": wrong_area}),
        Told("with a mean nuclear area of {a}{a_u}, {x} cells differ from {y} cells ({b}{b_u})", {"a": area(a), "b": area(b)}, y, {"y": others(a, b)}, {"b": wrong_area}),
        Told("the average distance from immune to {x} cells is {d}{d_u}", {"d": mean}, {"x": word["Neoplastic"]}, {"x": others("Neoplastic", "Inflammatory")}, {"d": wrong_length}),
        Told("the closest inflammatory cell lies {d}{d_u} from a {x} cell, the mean being {e}{e_u}", {"d": least, "e": mean}, {"x": word["Neoplastic"]}, {"x": others("Neoplastic", "Inflammatory")}, {"d": wrong_length, "e": wrong_length}),
        Told("the tumor-stroma fraction reaches {s}{s_u}", {"s": fraction}, {}, {}, {"s": wrong_share}),
        Told("immune infiltration of the neoplastic compartment is {s}{s_u}", {"s": infiltration}, {}, {}, {"s": wrong_share}),
        Told("only {n}{n_u} {x} cells are engaged with the tumor", {"n": engaged}, {"x": word["Inflammatory"]}, {"x": others("Inflammatory", "Neoplastic")}, {}),
        Told("the mean spatial entropy amounts to {h}{h_u}", {"h": entropy}, {}, {}, {"h": [" µm", " %"]}),
        Told("{x}: {s}{s_u}; {y}: {t}{t_u}", {"s": share(a), "t": share(b)}, y, {"x": others(a, b)}, {"s": wrong_share}),
        Told("in all {n}{n_u} cells were counted, among them {m}{m_u} {x} ones", {"n": total, "m": count(c)}, {"x": word[c]}, {"x": others(c)}, {}),
        Told("{x} and {y} cells represent {s}{s_u} and {t}{t_u} of the nuclei, respectively", {"s": share(a), "t": share(b)}, y, {"x": others(a, b)}, {"t": wrong_share}),
        Told("{x} cells outnumber {y} cells, with {n}{n_u} against {m}{m_u}", {"n": count(more), "m": count(less)}, {"x": word[more], "y": word[less]}, {"y": others(more, less)}, {"n": [" %", " µm²"]}),
        Told("the most abundant population are {x} cells at {s}{s_u}", {"s": share(first)}, {"x": word[first]}, {"x": others(first)}, {"s": wrong_share}),
        Told("among {n}{n_u} nuclei, {m}{m_u} were {x} ({s}{s_u}), the remainder comprising {k}{k_u} {y} cells", {"n": total, "m": count(a), "s": share(a), "k": count(b)}, y, {"x": others(a, b)}, {"s": wrong_share}),
        Told("{x} cells number more than {n}{n_u}, in detail {m}{m_u}", {"n": (str(raw[f"count_{a}"] - 1), ""), "m": count(a)}, x, {"x": others(a)}, {"m": [" %"]}),
        Told("{x} nuclei are larger than {y} nuclei ({a}{a_u} against {b}{b_u})", {"a": area(large), "b": area(small)}, {"x": word[large], "y": word[small]}, {"x": others(large, small)}, {"a": wrong_area}),
        Told("compared with {y} cells at {t}{t_u}, {x} cells reach {s}{s_u}", {"s": share(a), "t": share(b)}, y, {"x": others(a, b)}, {"s": wrong_share}),
        Told("the {x} compartment ({n}{n_u}) exceeds the {y} one ({m}{m_u})", {"n": count(more), "m": count(less)}, {"x": word[more], "y": word[less]}, {"x": others(more, less)}, {"n": [" %"]}),
        Told("{x} cells contribute {n}{n_u} nuclei or {s}{s_u}, {y} cells {m}{m_u} or {t}{t_u}", {"n": count(a), "s": share(a), "m": count(b), "t": share(b)}, y, {"y": others(a, b)}, {"t": wrong_share}),
        Told("at {s}{s_u}, the fraction of {x} elements is notable", {"s": share(a)}, x, {"x": others(a)}, {"s": wrong_share}),
        Told("approximately {s}{s_u} of nuclei belong to the {x} class", {"s": share(a)}, x, {"x": others(a)}, {"s": wrong_share}),
    ]  # fmt: skip


_PHRASES = {
    "High Tumour Purity": ["Tumor purity is high.", "Tumor cells grow in solid sheets."],
    "Low Tumour Purity": ["Tumor purity is low.", "This is a patch of low tumor purity."],
    "Immune Hot": ["The microenvironment is immune hot.", "The infiltrate is brisk."],
    "Immune Cold": ["The microenvironment is immune-cold.", "Immune cells are all but absent."],
    "Desmoplastic": [
        "The stroma is desmoplastic.",
        "Marked desmoplasia is present.",
        "Dense collagen surrounds the nests.",
    ],
    "Stroma-Free": ["The patch is stroma-free.", "There is hardly any stroma."],
    "Direct Contact": ["Immune cells are in direct contact with the tumor."],
    "Excluded": ["The pattern is one of immune exclusion.", "The infiltrate is immune-excluded."],
    "Segregated": ["The populations are segregated.", "Each population keeps to itself."],
    "Highly Mixed": ["The populations are highly mixed."],
    "Large/Pleomorphic": ["The tumor nuclei are pleomorphic.", "Nuclei are large and pleomorphic."],
    "Small/Monotonous": ["The tumor nuclei are monotonous."],
    "Fibrotic barrier": ["A fibrotic barrier is formed."],
    "Heavy infiltrate": ["There is a heavy infiltrate."],
    "Bystander immune cells": ["Most are bystander immune cells."],
    "Anisocytosis": ["Anisocytosis is evident."],
}


def _patch_phenotypes(labels: dict[str, str | None], tokens: list[str], true: bool) -> list[str]:
    """Return phrases for what is said (true), or for what is not."""
    said = {*labels.values(), *tokens}
    if "Excluded" in said or "Immune exclusion" in said:
        said |= {"Excluded", "Immune exclusion"}
    phrases = [text for name, texts in _PHRASES.items() if (name in said) == true for text in texts]
    if true:
        denied = {"Desmoplastic": "It is not desmoplastic.", "Immune Hot": "The patch is not immune hot."}
        phrases += [text for name, text in denied.items() if name not in said]
    return phrases


_CELLS = {
    "carcinoma_cell": "carcinoma cells",
    "lymphocyte": "lymphocytes",
    "fibroblast": "fibroblasts",
    "macrophage": "macrophages",
    "plasma_cell": "plasma cells",
    "granulocyte": "granulocytes",
}


def _slide(rng: np.random.Generator) -> tuple[dict[str, Any], list[Told], Callable[[bool], list[str]]]:
    raw, units = _slide_numbers(rng)
    labels: dict[str, str | None] = {
        "composition": str(rng.choice(["Low Tumour Purity", "High Tumour Purity"])),
        "immune": str(rng.choice(["Immune Inflamed", "Immune Excluded", "Immune Desert"])),
        "stroma": str(rng.choice(["Stroma-rich", "Stroma-poor"])),
    }
    facts = {
        "subject": "slide",
        "raw_data": raw,
        "units": units,
        "samples": {},
        "interpretation": labels,
        "generated_tokens": list(labels.values()),
    }
    return facts, _slide_sentences(raw, rng), lambda true: _slide_phenotypes(labels, true)


def _slide_numbers(rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, str]]:
    counts = dict(zip(_CELLS, (rng.dirichlet([2, 2, 1, 1, 0.6, 0.5]) * 90_000).astype(int) + 50, strict=True))
    total = sum(counts.values())
    raw: dict[str, Any] = {"CELL_N_TOTAL": float(total)}
    units = {"CELL_N_TOTAL": "cells"}

    def put(name: str, value: float, unit: str) -> None:
        raw[name], units[name] = float(value), unit

    for name, count in counts.items():
        cell = name.upper()
        put(f"CELL_COUNT_{cell}", count, "cells")
        put(f"CELL_PERCENTAGE_{cell}", 100 * count / total, "%")
        for tissue in ("CARCINOMA", "STROMA"):
            put(f"CELL_DENSITY_{cell}_{tissue}", rng.uniform(5e-5, 4e-3), "cells/um2")
        put(f"NUCLEUS_AVG_AREA_{cell}", rng.uniform(18, 90), "um2")
        put(f"DISTANCE_TO_CARCINOMA_MEDIAN_{cell}", rng.uniform(5, 500), "um")
    shares = rng.dirichlet([2, 2, 1, 1]) * 100
    for tissue, value in zip(("CARCINOMA", "STROMA", "EPITHELIAL_TISSUE", "NECROSIS"), shares, strict=True):
        put(f"RELATIVE_AREA_{tissue}", value, "%")
        put(f"ABSOLUTE_AREA_{tissue}", value * 3e5, "um2")
    put("ABSOLUTE_AREA", 3e7, "um2")
    put("IMMUNE_CELL_FRACTION", rng.uniform(0.1, 0.8), "1")
    put("STROMAL_TIL_PERCENT", rng.uniform(1, 60), "%")
    put("LYMPHOID_AGGREGATE_COUNT", rng.integers(2, 40), "aggregates")
    return raw, units


def _slide_sentences(raw: dict[str, Any], rng: np.random.Generator) -> list[Told]:
    a, b = (str(name) for name in rng.choice(list(_CELLS), 2, replace=False))
    tissue = {"CARCINOMA": "carcinoma", "STROMA": "stroma", "EPITHELIAL_TISSUE": "normal epithelium"}
    p, q = (str(name) for name in rng.choice(list(tissue), 2, replace=False))
    place, other = rng.permutation(["CARCINOMA", "STROMA"])

    first = max(_CELLS, key=lambda name: raw[f"CELL_COUNT_{name.upper()}"])

    def share(name: str) -> tuple[str, str]:
        return _number(raw[name], rng), str(rng.choice(["%", " %"]))

    def density(name: str, where: str) -> tuple[str, str]:
        value = 1e6 * raw[f"CELL_DENSITY_{name.upper()}_{where}"]
        return _number(value, rng, whole=True), str(rng.choice(["/mm²", " per mm²", " cells/mm2"]))

    def others(*names: str) -> list[str]:
        return [words for name, words in _CELLS.items() if name not in names]

    count = (_number(raw[f"CELL_COUNT_{a.upper()}"], rng, whole=True), "")
    total = (_number(raw["CELL_N_TOTAL"], rng, whole=True), "")
    area = (_number(raw[f"NUCLEUS_AVG_AREA_{a.upper()}"], rng), " µm²")
    far = (_number(raw[f"DISTANCE_TO_CARCINOMA_MEDIAN_{b.upper()}"], rng), " µm")
    land = (f"{raw[f'ABSOLUTE_AREA_{p}'] / 1e6:.2f}", " mm²")
    immune = (_number(100 * raw["IMMUNE_CELL_FRACTION"], rng), " %")
    tils = share("STROMAL_TIL_PERCENT")
    nests = (_number(raw["LYMPHOID_AGGREGATE_COUNT"], rng, whole=True), "")
    pa, pb, tp, tq = share(f"CELL_PERCENTAGE_{a.upper()}"), share(f"CELL_PERCENTAGE_{b.upper()}"), share(f"RELATIVE_AREA_{p}"), share(f"RELATIVE_AREA_{q}")  # fmt: skip
    x, xy = {"x": _CELLS[a]}, {"x": _CELLS[a], "y": _CELLS[b]}
    where = {"p": tissue[str(place)], "q": tissue[str(other)]}
    wrong, wrong_density, wrong_tissue = (
        [" µm", " per mm²"],
        ["/µm²", " %"],
        [t for n, t in tissue.items() if n not in (p, q)],
    )
    return [
        Told("the slide holds {n}{n_u} cells", {"n": total}, {}, {}, {"n": [" µm²", " %"]}),
        Told("{x} represent {s}{s_u} of the cells", {"s": pa}, x, {"x": others(a)}, {"s": wrong}),
        Told("{s}{s_u} of all cells are {x}", {"s": pa}, x, {"x": others(a)}, {"s": wrong}),
        Told("{x} ({s}{s_u}) are followed by {y} ({t}{t_u})", {"s": pa, "t": pb}, xy, {"y": others(a, b)}, {"t": wrong}),
        Told("there are {n}{n_u} {x} on the slide", {"n": count}, x, {"x": others(a)}, {}),
        Told("in the {p}, the density of {x} is {d}{d_u}", {"d": density(a, str(place))}, x | where, {"x": others(a), "p": [where["q"]]}, {"d": wrong_density}),
        Told("{x} reach {d}{d_u} in {p} and {e}{e_u} in {q}", {"d": density(a, str(place)), "e": density(a, str(other))}, x | where, {"x": others(a)}, {"e": wrong_density}),
        Told("{x} and {y} make up {s}{s_u} and {t}{t_u} of the cells, respectively", {"s": pa, "t": pb}, xy, {"x": others(a, b)}, {"t": wrong}),
        Told("{p} covers {s}{s_u} of the tissue and {q} {t}{t_u}", {"s": tp, "t": tq}, {"p": tissue[p], "q": tissue[q]}, {"p": wrong_tissue}, {"s": [" mm²", " µm"]}),
        Told("the area of {p} is {a}{a_u}", {"a": land}, {"p": tissue[p]}, {"p": [t for n, t in tissue.items() if n != p]}, {"a": [" µm²", " %"]}),
        Told("{x} have nuclei of {a}{a_u} on average", {"a": area}, x, {"x": others(a)}, {"a": [" mm²", " µm"]}),
        Told("{x} predominate with {s}{s_u}", {"s": share(f"CELL_PERCENTAGE_{first.upper()}")}, {"x": _CELLS[first]}, {"x": others(first)}, {"s": wrong}),
        Told("with a density of {d}{d_u}, {x} are the main cells of the {p}; {y} follow with {e}{e_u}", {"d": density(a, str(place)), "e": density(b, str(place))}, xy | where, {"y": others(a, b)}, {"d": wrong_density}),
        Told("half of the {y} lie within {d}{d_u} of carcinoma", {"d": far}, xy, {"y": others(b)}, {"d": [" mm", " %", " µm²"]}),
        Told("immune cells form {s}{s_u} of the population", {"s": immune}, {}, {}, {"s": wrong}),
        Told("the stromal TIL score is {s}{s_u}", {"s": tils}, {}, {}, {"s": wrong}),
        Told("{n}{n_u} lymphoid aggregates were detected", {"n": nests}, {}, {}, {"n": [" mm²"]}),
    ]  # fmt: skip


def _slide_phenotypes(labels: dict[str, str | None], true: bool) -> list[str]:
    phrases = {
        "Low Tumour Purity": ["Tumor purity is low."],
        "High Tumour Purity": ["The tumor purity is high.", "High tumor purity is seen."],
        "Immune Inflamed": ["The tumor shows an inflamed phenotype.", "It is immune-inflamed."],
        "Immune Excluded": ["The tumor is immune-excluded.", "There is immune exclusion."],
        "Immune Desert": ["The tumor is an immune desert.", "Hardly a lymphocyte is near the tumor."],
        "Stroma-rich": ["The tumor is stroma-rich."],
        "Stroma-poor": ["The tumor is stroma-poor."],
        "Desmoplastic": ["The stroma is desmoplastic."],
        "Immune Hot": ["It is an immune-hot tumor."],
    }
    return [text for name, texts in phrases.items() if (name in labels.values()) == true for text in texts]
