"""The grounded paragraph of one patch: what its features, labels and tokens say, and nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from histome.narrative.facts import check_facts, units_of
from histome.narrative.sentences import Sentence, Source, Teller
from histome.phenotype.axes import PANNUKE_CLASSES, phenotypes

_FEW_CELLS = 200  # under this the 95 % interval of a share is wider than +-7 points
_DISTANCE = "mean_dist_Inflammatory_to_Neoplastic"


def describe_patch(facts: Mapping[str, Any]) -> list[Sentence]:
    """Return the sentences on a patch from its JSON (`raw_data`, `interpretation`, `generated_tokens`).

    Raises UsageError where the JSON is something else. A value that is null is said to be undefined, with its
    reason.
    """
    raw, labels, tokens = check_facts(facts)
    patch = _Patch(Teller(raw, units_of(facts), {}, "raw_data."), labels, tokens)
    if not patch.teller.get("total_cell_count"):
        return [patch.teller.tell("No nuclei were found in this patch.", "composition", ["total_cell_count"])]
    return [
        sentence
        for part in (
            patch.composition(),
            patch.immune(),
            patch.interaction(),
            patch.stroma(),
            patch.architecture(),
            patch.morphology(),
            patch.uncertain(),
        )
        for sentence in part
    ]


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as a list of a sentence: a, b and c."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


class _Patch:
    """The facts, and what is told of each axis."""

    def __init__(self, teller: Teller, labels: Mapping[str, str | None], tokens: Sequence[str]) -> None:
        self.teller = teller
        self.labels = labels
        self.tokens = tokens

    def _said(self, axis: str) -> tuple[str, list[Source]]:
        """Return the tokens of an axis in brackets, and the sources of label and tokens."""
        known = phenotypes()
        said = known.axes[axis]
        own = {*said.low.tokens, *said.intermediate.tokens, *said.high.tokens}
        if axis == "composition":
            own |= {*known.low_purity.immune, *known.low_purity.stroma}
        if axis == "interaction":
            own |= set(known.bystander.tokens)
        tokens = [token for token in self.tokens if token in own]
        sources = [Source(f"interpretation.{axis}", self.labels[axis])]
        sources += [Source("generated_tokens", token) for token in tokens]
        words = listed([token.lower().replace("tumour", "tumor") for token in tokens])
        return f" ({words})" if words else "", sources

    def composition(self) -> Iterator[Sentence]:
        """Yield the counts, then the purity."""
        teller = self.teller
        counts = {name: teller.get(f"count_{name}") for name in PANNUKE_CLASSES}
        present = sorted((n for n in counts if counts[n]), key=lambda n: -(counts[n] or 0))
        parts = [f"{{count_{name}}} {name.lower()} ({{ratio_{name}:%}})" for name in present]
        absent = [name.lower() for name, count in counts.items() if count == 0]
        none = f"; no {listed(absent, 'or')} cell was found" if absent else ""
        silent = [f"count_{name}" for name, count in counts.items() if count == 0]
        yield teller.tell(
            f"The patch holds {{total_cell_count}} nuclei: {listed(parts)}{none}.", "composition", silent
        )
        words = {"High Tumour Purity": "high", "Low Tumour Purity": "low", "Intermediate": "intermediate"}
        if self.labels.get("composition") in words:
            said, sources = self._said("composition")
            word = words[str(self.labels["composition"])]
            yield teller.tell(f"Tumor purity is {word}{said}.", "composition", ["ratio_Neoplastic", *sources])

    def immune(self) -> Iterator[Sentence]:
        """Yield the immune status."""
        words = {
            "Immune Hot": "immune hot",
            "Immune Cold": "immune cold",
            "Moderate": "moderately infiltrated",
        }
        label = self.labels.get("immune")
        if label not in words or not self.teller.has("ratio_Inflammatory"):
            return
        said, sources = self._said("immune")
        text = (
            f"It is {words[str(label)]}{said}: inflammatory cells are {{ratio_Inflammatory:%}} of all cells"
        )
        if self.teller.has("immune_infiltration_fraction"):
            text += ", and {immune_infiltration_fraction:%} of the neoplastic and inflammatory cells together"
        yield self.teller.tell(f"{text}.", "immune", sources)

    def interaction(self) -> Iterator[Sentence]:
        """Yield where the inflammatory cells lie."""
        if not self.teller.has(_DISTANCE):
            why = self.teller.values.get("undefined", {}).get(_DISTANCE)
            source = Source(f"raw_data.undefined.{_DISTANCE}", why)
            if why:
                text = f"A distance between immune and tumor cells is undefined: {why}."
                yield Sentence(text, (source,), "interaction")
            return
        words = {
            "Direct Contact": "direct contact",
            "Proximal": "a proximal position",
            "Excluded": "an excluded phenotype",
        }
        text = (
            f"On average an inflammatory cell lies {{{_DISTANCE}}} from the nearest neoplastic cell; the "
            "closest lies {min_dist_Inflammatory_to_Neoplastic} away, and {count_engaged_immune} of "
            "{count_Inflammatory} inflammatory cells are engaged"
        )
        label = self.labels.get("interaction")
        said, sources = self._said("interaction") if label else ("", [])
        text += f", read as {words[label]}{said}" if label in words else ""
        yield self.teller.tell(f"{text}.", "interaction", sources)

    def stroma(self) -> Iterator[Sentence]:
        """Yield the share of stroma."""
        words = {
            "Desmoplastic": "the patch is desmoplastic",
            "Stroma-Free": "the patch is stroma-free",
            "Intermediate": "the patch is neither desmoplastic nor stroma-free",
        }
        label = self.labels.get("stroma")
        if label not in words or not self.teller.has("ratio_Connective"):
            return
        said, sources = self._said("stroma")
        text = "Connective cells are {ratio_Connective:%} of all cells"
        if self.teller.has("tumor_stroma_fraction"):
            text += ", and the tumor-stroma fraction is {tumor_stroma_fraction:%}"
        yield self.teller.tell(f"{text}: {words[str(label)]}{said}.", "stroma", sources)

    def architecture(self) -> Iterator[Sentence]:
        """Yield how the classes mix."""
        words = {
            "Highly Mixed": "highly mixed",
            "Segregated": "segregated",
            "Intermediate": "neither highly mixed nor segregated",
        }
        label = self.labels.get("architecture")
        if label in words and self.teller.has("mean_spatial_entropy"):
            said, sources = self._said("architecture")
            text = f"The cell classes are {words[str(label)]}{said}, with a mean spatial entropy of "
            yield self.teller.tell(f"{text}{{mean_spatial_entropy}}.", "architecture", sources)

    def morphology(self) -> Iterator[Sentence]:
        """Yield the size of the nuclei."""
        if not self.teller.has("mean_area_Neoplastic"):
            return
        label = self.labels.get("morphology")
        said, sources = self._said("morphology") if label else ("", [])
        text = "Neoplastic nuclei have a mean area of {mean_area_Neoplastic}"
        text += f": {label.lower()}{said}" if label and label != "Intermediate" else ""
        if self.teller.has("mean_area_Inflammatory"):
            text += "; inflammatory nuclei one of {mean_area_Inflammatory}"
        yield self.teller.tell(f"{text}.", "morphology", sources)

    def uncertain(self) -> Iterator[Sentence]:
        """Yield what limits these numbers."""
        if (self.teller.get("total_cell_count") or 0) < _FEW_CELLS:
            yield self.teller.tell(
                "With {total_cell_count} nuclei in all, a difference of a few percent means nothing.",
                "uncertain",
            )
        if self.teller.units.get(_DISTANCE) == "px" and self.teller.has(_DISTANCE):
            yield self.teller.tell(
                "Lengths and areas are in pixels: they compare only between patches of one resolution.",
                "uncertain",
                [_DISTANCE],
            )
