"""The grounded text of a slide: what a pathologist says of a tumor's microenvironment, from the metrics."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.models.label_support import weak_marks
from histome.narrative.facts import check_facts, units_of
from histome.narrative.patch_writer import listed
from histome.narrative.sentences import Sentence, Source, Teller
from histome.narrative.slide_facts import PHENOTYPE_SHARES

_TISSUE_WORDS = {"EPITHELIAL_TISSUE": "normal epithelium", "OTHER": "other tissue"}
_MYELOID = ("macrophage", "granulocyte", "plasma_cell")
# Under these a sentence says that there is little to go by.
_LITTLE_VALID_PERCENT, _LITTLE_VALID_MM2 = 80.0, 1.0
_FEW_TILES, _FEW_CELLS = 10, 20
_ALIKE = 1.25  # densities within a quarter of one another are called alike


def describe_slide(facts: Mapping[str, Any]) -> list[Sentence]:
    """Return the sentences on a slide from what `slide_facts` gives.

    Every number printed is a metric's value, rounded, or its n. Raises UsageError for facts of another form.
    """
    raw, labels, _ = check_facts(facts)
    slide = _Slide(Teller(raw, units_of(facts), facts.get("samples", {})), labels)
    doubts = _Doubts(slide.teller, facts.get("models", {}))
    parts = (slide.composition, slide.immune, slide.stroma, slide.architecture, slide.morphology)
    return [sentence for part in (*parts, doubts.told) for sentence in part()]


def _tissue_words(name: str) -> str:
    return _TISSUE_WORDS.get(name, name.lower())


def _cell_words(name: str) -> str:
    return f"{name.replace('_', ' ')} cells" if name == "other" else f"{name.replace('_', ' ')}s"


class _Slide:
    """The metrics, and what is told of each aspect of the tissue."""

    def __init__(self, teller: Teller, labels: Mapping[str, str | None]) -> None:
        self.teller = teller
        self.labels = labels

    def _ranked(self, form: str, names: Sequence[str]) -> list[str]:
        """Return the names whose metric is over 0, the largest first."""
        values = {name: self.teller.get(form.format(name.upper())) or 0.0 for name in names}
        return sorted((name for name in names if values[name] > 0), key=lambda name: -values[name])

    def composition(self) -> Iterator[Sentence]:
        """Yield areas, cells, and the extent of the carcinoma."""
        tell, topic = self.teller.tell, "composition"
        ranked = self._ranked("RELATIVE_AREA_{}", TISSUE_CLASSES)
        tissues = [
            f"{{RELATIVE_AREA_{name}}} {'is ' * (k == 0)}{_tissue_words(name)}"
            for k, name in enumerate(ranked)
        ]
        if tissues and self.teller.has("ABSOLUTE_AREA"):
            yield tell(f"Of {{ABSOLUTE_AREA}} of measured tissue, {listed(tissues)}.", topic)
        cells = [
            f"{{CELL_PERCENTAGE_{name.upper()}}} {_cell_words(name)}"
            for name in self._ranked("CELL_PERCENTAGE_{}", CELL_CLASSES)
        ]
        if cells:
            yield tell(f"It holds {{CELL_N_TOTAL}} cells: {listed(cells)}.", topic)
        yield from self._carcinoma()

    def _carcinoma(self) -> Iterator[Sentence]:
        tell, topic = self.teller.tell, "composition"
        regions = self.teller.get("REGION_COUNT_CARCINOMA")
        if regions == 0:
            yield tell(
                "No carcinoma was segmented, so nothing is said of its border or its infiltration.",
                topic,
                ["REGION_COUNT_CARCINOMA", "ABSOLUTE_AREA_CARCINOMA"],
            )
        elif regions is not None and self.teller.has("LARGEST_FILLED_AREA_CARCINOMA"):
            many = "s, the largest of" if regions > 1 else " of"
            text = (
                f"Carcinoma forms {{REGION_COUNT_CARCINOMA}} region{many} {{LARGEST_FILLED_AREA_CARCINOMA}}"
            )
            zone = "RELATIVE_AREA_TUMOR_CORE"
            small = zone in self.teller.values and not self.teller.has(zone)
            text += "; none is large enough for a core and margins to be drawn" if small else ""
            yield tell(f"{text}.", topic, [zone] if small else [])
        purity = {"Low Tumour Purity": "low", "High Tumour Purity": "high"}.get(
            str(self.labels.get("composition"))
        )
        if purity and regions != 0:
            yield tell(f"By cell count, tumor purity is {purity}.", topic, ["TUMOR_PURITY"])

    def immune(self) -> Iterator[Sentence]:
        """Yield how many immune cells there are, where they lie and how they are arranged."""
        tell, has, topic = self.teller.tell, self.teller.has, "immune"
        if has("IMMUNE_CELL_FRACTION"):
            yield tell("Immune cells make up {IMMUNE_CELL_FRACTION:%} of all cells.", topic)
        yield from self._phenotype()
        yield from self._sides()
        if has("STROMAL_TIL_PERCENT", "INTRATUMORAL_TIL"):
            yield tell(
                "Stromal TILs cover {STROMAL_TIL_PERCENT} of the stroma by nuclear area, and the "
                "intratumoral TIL score, TILs per hundred carcinoma cells, is {INTRATUMORAL_TIL}.",
                topic,
            )
        if has("DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE"):
            text = "The median lymphocyte lies {DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE} from carcinoma."
            inside = self.teller.get("DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE") == 0
            text = "At least half of the lymphocytes lie within carcinoma." if inside else text
            yield tell(text, topic, ["DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE"] if inside else [])
        yield from self._aggregates()
        myeloid = self._ranked("CELL_DENSITY_{}_STROMA", _MYELOID)
        if myeloid:
            parts = [f"{{CELL_DENSITY_{name.upper()}_STROMA}} for {_cell_words(name)}" for name in myeloid]
            yield tell(f"Stromal density is {listed(parts)}.", topic)

    def _phenotype(self) -> Iterator[Sentence]:
        names = tuple(PHENOTYPE_SHARES.values())
        label = self.labels.get("immune")
        if not self.teller.has(*names):
            if names[0] in self.teller.values:
                text = "No immune phenotype is given: too little carcinoma lies in any one place."
                yield self.teller.tell(text, "immune", names)
            return
        few = self.teller.samples.get(names[0], 0) < _FEW_TILES
        lead = f"the tumor reads as {str(label).lower().replace(' ', '-')}"
        lead = lead if label in PHENOTYPE_SHARES else "no immune phenotype leads"
        yield self.teller.tell(
            f"{'in the few tiles there are, ' * few}{lead}: {{{names[0]}:%}} of the tiles with tumor are "
            f"inflamed, {{{names[1]}:%}} excluded and {{{names[2]}:%}} desert (n = {{{names[0]}:n}}).",
            "immune",
            [Source("interpretation.immune", label)],
        )

    def _sides(self) -> Iterator[Sentence]:
        """Yield the density of lymphocytes in carcinoma and stroma, and across the zones if there are any."""
        inside, outside = "CELL_DENSITY_LYMPHOCYTE_CARCINOMA", "CELL_DENSITY_LYMPHOCYTE_STROMA"
        if self.teller.has(inside, outside):
            a, b = self.teller.get(inside) or 0.0, self.teller.get(outside) or 0.0
            if max(a, b) <= _ALIKE * min(a, b):
                first, second = "about as dense", "as"
            else:
                first, second = "denser" if a > b else "sparser", "than"
            text = f"Lymphocytes are {first} in carcinoma ({{{inside}}}) {second} in stroma ({{{outside}}})."
            yield self.teller.tell(text, "immune")
        places = {
            "TUMOR_CORE": "tumor core",
            "INNER_INVASIVE_MARGIN": "inner",
            "OUTER_INVASIVE_MARGIN": "outer margin",
        }
        present = {
            zone: words
            for zone, words in places.items()
            if self.teller.has(f"CELL_DENSITY_LYMPHOCYTE_IN_{zone}")
        }
        if len(present) > 1:
            parts = [
                f"{{CELL_DENSITY_LYMPHOCYTE_IN_{zone}}} in the {words}".replace("inner", "inner margin")
                for zone, words in present.items()
            ]
            yield self.teller.tell(
                f"Their density is {listed(parts)}.".replace("Their", "Lymphocyte"), "immune"
            )

    def _aggregates(self) -> Iterator[Sentence]:
        count = self.teller.get("LYMPHOID_AGGREGATE_COUNT")
        if count == 0:
            yield self.teller.tell("No lymphoid aggregate was found.", "immune", ["LYMPHOID_AGGREGATE_COUNT"])
        elif count is not None:
            many = "s cover" if count > 1 else " covers"
            yield self.teller.tell(
                f"{{LYMPHOID_AGGREGATE_COUNT}} lymphoid aggregate{many} {{LYMPHOID_AGGREGATE_AREA}}.",
                "immune",
            )

    def stroma(self) -> Iterator[Sentence]:
        """Yield how much stroma there is, what it holds, and necrosis."""
        tell, has, topic = self.teller.tell, self.teller.has, "stroma"
        label = self.labels.get("stroma")
        if has("TUMOR_STROMA_RATIO") and label:
            yield tell(
                f"Carcinoma has {{TUMOR_STROMA_RATIO}} times the area of stroma: {label.lower()} tissue.",
                topic,
                [Source("interpretation.stroma", label)],
            )
        if has("CELL_PERCENTAGE_FIBROBLAST_STROMA", "CELL_DENSITY_FIBROBLAST_STROMA"):
            yield tell(
                "Fibroblasts are {CELL_PERCENTAGE_FIBROBLAST_STROMA} of the cells in stroma, at a density "
                "there of {CELL_DENSITY_FIBROBLAST_STROMA}.",
                topic,
            )
        if self.teller.get("ABSOLUTE_AREA_NECROSIS") and has("NECROSIS_FRACTION_OF_TUMOR"):
            yield tell(
                "Necrosis takes {NECROSIS_FRACTION_OF_TUMOR:%} of carcinoma and necrosis together.", topic
            )

    def architecture(self) -> Iterator[Sentence]:
        """Yield how cells are arranged."""
        label = self.labels.get("architecture")
        words = {
            "Clustered lymphocytes": "Lymphocytes are clustered",
            "Evenly spaced lymphocytes": "Lymphocytes are evenly spaced",
            "Intermediate": "Lymphocytes are spread as at random",
        }
        if label in words:
            yield self.teller.tell(
                f"{words[str(label)]}: the distance to the nearest other one is {{CLARK_EVANS_LYMPHOCYTE}} "
                "times that of a random pattern.",
                "architecture",
                [Source("interpretation.architecture", label)],
            )
        if self.teller.has("MEAN_SPATIAL_ENTROPY", "SHANNON"):
            yield self.teller.tell(
                "The entropy of the cell classes is {MEAN_SPATIAL_ENTROPY} among nearest neighbors and "
                "{SHANNON} over the slide.",
                "architecture",
            )

    def morphology(self) -> Iterator[Sentence]:
        """Yield the size, its spread, and the roundness of the tumor's nuclei, lymphocytes beside them."""
        area, spread = "NUCLEUS_AVG_AREA_CARCINOMA_CELL", "NUCLEUS_CV_AREA_CARCINOMA_CELL"
        if not self.teller.has(area):
            return
        text = f"Carcinoma nuclei have a mean area of {{{area}}}"
        text += f" with a coefficient of variation of {{{spread}}}" if self.teller.has(spread) else ""
        beside = "NUCLEUS_AVG_AREA_LYMPHOCYTE"
        text += f"; those of lymphocytes, for comparison, {{{beside}}}" if self.teller.has(beside) else ""
        yield self.teller.tell(f"{text}.", "morphology")


class _Doubts:
    """What is uncertain in the numbers, and why."""

    def __init__(self, teller: Teller, models: Mapping[str, Any]) -> None:
        self.teller = teller
        self.models = models

    def told(self) -> Iterator[Sentence]:
        """Yield every doubt."""
        yield from self._little_tissue()
        yield from self._abstained()
        yield from self._disagreement()
        yield from self._classes()
        yield from self._tissues()
        yield from self._never_seen()

    def _tell(self, template: str, also: Sequence[str | Source] = ()) -> Sentence:
        return self.teller.tell(template, "uncertain", also)

    def _little_tissue(self) -> Iterator[Sentence]:
        share, area = self.teller.get("RELATIVE_AREA_VALID_TISSUE"), self.teller.get("VALID_AREA")
        if share is not None and share < _LITTLE_VALID_PERCENT:
            yield self._tell("Only {RELATIVE_AREA_VALID_TISSUE} of the tissue passed quality control.")
        if area is not None and area < _LITTLE_VALID_MM2:
            yield self._tell("Only {VALID_AREA} of valid tissue was there to measure, a small sample.")

    def _abstained(self) -> Iterator[Sentence]:
        if not self.teller.has("ABSTAINED_COUNT_ALL", "ABSTAINED_FRACTION_ALL", "CONFIDENCE_MEAN_ALL"):
            return
        yield self._tell(
            "The model abstained on {ABSTAINED_COUNT_ALL} cells ({ABSTAINED_FRACTION_ALL:%}), which are "
            "counted under their likeliest class; its mean confidence in a class is {CONFIDENCE_MEAN_ALL:%}."
        )
        confidence = {name: self.teller.get(f"CONFIDENCE_MEAN_{name.upper()}") for name in CELL_CLASSES}
        known = {
            name: value
            for name, value in confidence.items()
            if value is not None and (self.teller.get(f"CELL_COUNT_{name.upper()}") or 0) >= _FEW_CELLS
        }
        if len(known) > 1:
            least = min(known, key=lambda name: known[name])
            yield self._tell(
                f"It is least sure of {_cell_words(least)} ({{CONFIDENCE_MEAN_{least.upper()}:%}})."
            )

    def _disagreement(self) -> Iterator[Sentence]:
        """Yield that the tissue model sees no carcinoma where the cell model sees carcinoma cells."""
        inside, every = "CELL_COUNT_CARCINOMA_CELL_CARCINOMA", "CELL_COUNT_CARCINOMA_CELL"
        a, b = self.teller.get(inside), self.teller.get(every)
        if a is None or b is None or b < _FEW_CELLS or a >= 0.5 * b:
            return
        few = f"Only {{{inside}}}" if a else "None"
        yield self._tell(
            f"{few} of the {{{every}}} cells classed as carcinoma cells lie in tissue classed as carcinoma: "
            "the models disagree, and every number on the tumor needs a look at the overlay.",
            [] if a else [inside],
        )

    def _classes(self) -> Iterator[Sentence]:
        """Yield the classes that the nuclei model learned without labels of their own, or from few."""
        for model, about in self.models.items():
            weak = weak_marks(about["labels"])
            indirect = [name for name, mark in weak.items() if mark.startswith("indirect")]
            few = [name for name in weak if name not in indirect]
            for names, how in ((indirect, "without labels of their own"), (few, "from few labels")):
                if names:
                    yield self._learned(model, names, how)

    def _learned(self, model: str, names: Sequence[str], how: str) -> Sentence:
        counts = [f"CELL_COUNT_{name.upper()}" for name in names]
        labels = self.models[model]["labels"]
        sources = [Source(f"{model} card: training.labels.{name}", labels[name]) for name in names]
        text = f"{listed([_cell_words(name) for name in names])} were learned {how}"
        found = [name for name in counts if self.teller.get(name)]
        end = (
            "their numbers are tentative"
            if found
            else "that the model named none is no sign of their absence"
        )
        return self._tell(f"{text}: {end}.", [*counts, *sources])

    def _tissues(self) -> Iterator[Sentence]:
        """Yield the tissues that were not found and that a model's limits name."""
        limits = [(model, line) for model, about in self.models.items() for line in about["limits"]]
        absent = [name for name in TISSUE_CLASSES if self.teller.get(f"ABSOLUTE_AREA_{name}") == 0]
        named = {
            name: (model, line)
            for name in absent
            for model, line in limits
            if re.match(rf"{_tissue_words(name)}s?\b", line, re.I)
        }
        if named:
            sources = [Source(f"{model} card: limits", line) for model, line in dict.fromkeys(named.values())]
            words = listed([_tissue_words(name) for name in named], "or")
            yield self._tell(
                f"No {words} was segmented, which the model hardly learned: that is no sign of absence.",
                [*(f"ABSOLUTE_AREA_{name}" for name in named), *sources],
            )

    def _never_seen(self) -> Iterator[Sentence]:
        """Yield the organs and preparations that a model has never seen, as its card says."""
        for model, about in self.models.items():
            for line in about["limits"]:
                if line.lower().startswith("never saw") and not re.search(r"\d", line):
                    names = line.split(":", 1)[-1].strip().rstrip(".")
                    text = f"The {model} model never saw {names}: of such tissue nothing here holds."
                    yield Sentence(text, (Source(f"{model} card: limits", line),), "uncertain")
