"""Labels and tokens: the paper's worked example, every limit from both sides, and no contradictions."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from helpers.given_facts import EXAMPLE
from hypothesis import given, settings
from hypothesis import strategies as st

from histome.errors import UsageError
from histome.phenotype.axes import PANNUKE_CLASSES, phenotypes, phenotypes_of
from histome.phenotype.tokens import interpret

TWELVE = {
    "Immune-dominant",
    "Lymphocyte-rich",
    "Heavy infiltrate",
    "Non-desmoplastic",
    "Lack of fibrosis",
    "Immune exclusion",
    "Restricted to stroma",
    "Bystander immune cells",
    "Homogeneous",
    "Compartmentalized",
    "Nuclear enlargement",
    "Anisocytosis",
}
EVERYTHING = {
    **{axis.value: 0.2 for axis in phenotypes().axes.values()},
    **{"total_cell_count": 100, "count_Neoplastic": 40, "count_Inflammatory": 40, "count_Connective": 20},
}


def test_the_worked_example_of_the_paper() -> None:
    found = interpret(EXAMPLE, compatible=True)
    assert found.labels == {
        "composition": "Low Tumour Purity",
        "immune": "Immune Hot",
        "stroma": "Stroma-Free",
        "interaction": "Excluded",
        "architecture": "Segregated",
        "morphology": "Large/Pleomorphic",
    }
    assert len(found.tokens) == 12
    assert set(found.tokens) == TWELVE
    assert found.undefined == {}
    assert round(100 * EXAMPLE["tumor_stroma_fraction"], 2) == 94.78
    assert round(100 * EXAMPLE["immune_infiltration_fraction"], 2) == 70.83


def test_ours_does_not_say_stroma_free_and_restricted_to_stroma_together() -> None:
    ours = interpret(EXAMPLE, unit="px")
    assert ours.labels["stroma"] == "Stroma-Free"
    assert set(ours.tokens) == TWELVE - {"Restricted to stroma"}
    with_stroma = interpret(EXAMPLE | {"ratio_Connective": 0.05}, unit="px")
    assert "Restricted to stroma" in with_stroma.tokens


# Axis, value at the lower and upper limit, labels under, at and over them. Lengths in px and in um.
LIMITS = [
    ("composition", 0.30, 0.60, ("Low Tumour Purity", "Intermediate", "High Tumour Purity")),
    ("immune", 0.10, 0.30, ("Immune Cold", "Moderate", "Immune Hot")),
    ("stroma", 0.05, 0.50, ("Stroma-Free", "Intermediate", "Desmoplastic")),
    ("architecture", 0.40, 0.70, ("Segregated", "Intermediate", "Highly Mixed")),
]
LENGTHS = [
    ("interaction", (20.0, 60.0), (10.0, 35.0), ("Direct Contact", "Proximal", "Excluded")),
    ("morphology", (150.0, 300.0), (25.0, 40.0), ("Small/Monotonous", "Intermediate", "Large/Pleomorphic")),
]


@pytest.mark.parametrize(("axis", "low", "high", "labels"), LIMITS)
def test_limits_of_shares_and_entropy(axis: str, low: float, high: float, labels: tuple[str, ...]) -> None:
    for unit, compatible in (("um", False), ("px", False), ("px", True)):
        assert _labels_round(axis, low, high, unit=unit, compatible=compatible) == labels


@pytest.mark.parametrize(("axis", "pixels", "um", "labels"), LENGTHS)
def test_limits_of_lengths_and_areas(
    axis: str, pixels: tuple[float, float], um: tuple[float, float], labels: tuple[str, ...]
) -> None:
    """Of the paper where the data are in pixels; in um of the labeled fields, at whatever resolution."""
    assert _labels_round(axis, *pixels, unit="px", compatible=True) == labels
    assert _labels_round(axis, *pixels, unit="px", compatible=False) == labels
    assert _labels_round(axis, *um, unit="um", compatible=False) == labels


def _labels_round(axis: str, low: float, high: float, **mode: Any) -> tuple[str | None, ...]:
    """Labels just under and over the limits; at each limit and between it is always the middle one."""
    name = phenotypes().axes[axis].value

    def label(value: float) -> str | None:
        return interpret(EVERYTHING | {name: value}, **mode).labels[axis]

    middle = label((low + high) / 2)
    assert label(low) == label(high) == middle
    assert label(math.nextafter(low, math.inf)) == label(math.nextafter(high, 0)) == middle
    return label(math.nextafter(low, 0)), middle, label(math.nextafter(high, math.inf))


@pytest.mark.parametrize(
    ("immune", "stroma", "tokens"),
    [
        (0.41, 0.40, {"Immune-dominant", "Lymphocyte-rich"}),
        (0.40, 0.40, {"Stroma-dominant"}),
        (0.39, 0.40, {"Stroma-dominant"}),
    ],
)
def test_low_purity_by_what_prevails(immune: float, stroma: float, tokens: set[str]) -> None:
    raw = EVERYTHING | {"ratio_Neoplastic": 0.1, "ratio_Inflammatory": immune, "ratio_Connective": stroma}
    said = set(interpret(raw).tokens)
    assert said & {"Immune-dominant", "Lymphocyte-rich", "Stroma-dominant"} == tokens


def test_of_few_cells_of_what_prevails_there_is_no_token() -> None:
    """30 neoplastic cells among 200 epithelial ones; 19 or 20 of another kind."""
    for kind, tokens in (("Inflammatory", {"Lymphocyte-rich"}), ("Connective", {"Stroma-dominant"})):
        for n in (19, 20):
            counts = {"Neoplastic": 30, "Inflammatory": 0, "Connective": 0, kind: n}
            total = sum(counts.values()) + 100
            raw = EVERYTHING | {"total_cell_count": total}
            raw |= {f"count_{name}": count for name, count in counts.items()}
            raw |= {f"ratio_{name}": count / total for name, count in counts.items()}
            found = interpret(raw, fewest_cells=20)
            assert found.labels["composition"] == "Low Tumour Purity"
            assert (tokens <= set(found.tokens)) is (n == 20)
            assert tokens <= set(interpret(raw, compatible=True).tokens)


@pytest.mark.parametrize(("engaged", "said"), [(9, True), (10, False), (0, True)])
def test_bystanders_are_under_a_tenth(engaged: int, said: bool) -> None:
    raw = EVERYTHING | {"count_Inflammatory": 100, "count_engaged_immune": engaged}
    assert ("Bystander immune cells" in interpret(raw).tokens) is said


def test_without_tumor_nobody_is_a_bystander() -> None:
    raw = EVERYTHING | {"count_Inflammatory": 100, "count_engaged_immune": 0}
    raw["mean_dist_Inflammatory_to_Neoplastic"] = None
    found = interpret(
        raw | {"undefined": {"mean_dist_Inflammatory_to_Neoplastic": "there are no neoplastic cells"}}
    )
    assert found.labels["interaction"] is None
    assert found.undefined["interaction"] == "there are no neoplastic cells"
    assert not set(found.tokens) & {
        "Bystander immune cells",
        "Immune exclusion",
        "Peritumoral",
        "Juxtaposed cells",
    }


def test_nothing_is_said_of_an_empty_patch_or_of_too_few_cells() -> None:
    for found in (interpret({}), interpret(EVERYTHING | {"total_cell_count": 19}, fewest_cells=20)):
        assert set(found.labels.values()) == {None}
        assert found.tokens == []
        assert set(found.undefined) == set(phenotypes().axes)
    assert interpret(EVERYTHING | {"total_cell_count": 20}, fewest_cells=20).undefined == {}


_OF_TUMOR = dict.fromkeys(("composition", "morphology", "stroma"), "neoplastic")


@pytest.mark.parametrize(
    ("neoplastic", "inflammatory", "connective", "missing"),
    [
        (20, 20, 20, {}),
        (19, 20, 20, {**_OF_TUMOR, "interaction": "neoplastic"}),
        (20, 19, 20, {"immune": "inflammatory", "interaction": "inflammatory"}),
        (20, 20, 19, {"stroma": "connective"}),
        (
            *(1, 2, 0),
            {
                **_OF_TUMOR,
                "stroma": "connective and neoplastic",
                "immune": "inflammatory",
                "interaction": "inflammatory and neoplastic",
            },
        ),
    ],
)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_what_speaks_of_few_cells_of_a_class_is_no_label(
    neoplastic: int, inflammatory: int, connective: int, missing: dict[str, str], share: float
) -> None:
    """Whether they are Moderate or Immune Hot, intermediate or Desmoplastic, of low or high purity."""
    counts = {"Neoplastic": neoplastic, "Inflammatory": inflammatory, "Connective": connective}
    raw = EVERYTHING | {f"count_{name}": n for name, n in counts.items()}
    raw |= {f"ratio_{name}": share for name in counts} | {"count_engaged_immune": 0}
    found = interpret(raw, fewest_cells=20)
    assert found.undefined == {
        axis: f"there are fewer than 20 {kinds} cells" for axis, kinds in missing.items()
    }
    assert {axis for axis, label in found.labels.items() if label is None} == set(missing)
    assert ("Bystander immune cells" in found.tokens) is ("interaction" not in missing)
    assert ("Small cell morphology" in found.tokens) is ("morphology" not in missing)
    assert interpret(raw, compatible=True).undefined == {}


def test_what_says_that_a_class_is_not_there_needs_none_of_it() -> None:
    raw = EVERYTHING | dict.fromkeys(("ratio_Inflammatory", "ratio_Connective"), 0.01)
    raw |= {f"count_{name}": 1 for name in ("Neoplastic", "Inflammatory", "Connective")}
    found = interpret(raw, fewest_cells=20)
    assert (found.labels["immune"], found.labels["stroma"]) == ("Immune Cold", "Stroma-Free")


@pytest.mark.parametrize(("distance", "said"), [(5.0, False), (10.0, False), (35.0, False), (36.0, True)])
def test_no_desert_has_immune_cells_at_the_tumor(distance: float, said: bool) -> None:
    raw = EVERYTHING | {"ratio_Inflammatory": 0.05, "mean_dist_Inflammatory_to_Neoplastic": distance}
    found = interpret(raw)
    assert found.labels["immune"] == "Immune Cold"
    assert ("Immune desert" in found.tokens) is said
    assert "Pauci-immune" in found.tokens
    assert "Immune desert" in interpret(raw, compatible=True).tokens


def test_gaps_are_intermediate_without_a_token() -> None:
    for name in ("composition", "stroma", "architecture", "morphology"):
        said = phenotypes().axes[name].intermediate
        assert (said.label, said.tokens) == ("Intermediate", ())


def test_the_papers_pixels_stand_for_its_last_scale() -> None:
    known = phenotypes()
    assert known.paper_mpp == 0.35
    assert (known.engaged("px"), known.engaged("um")) == (50, 17.5)
    assert [axis.unit for axis in known.axes.values()] == ["1", "1", "1", "um", "1", "um2"]
    shares = [axis for axis in known.axes.values() if axis.unit == "1"]
    assert all(axis.paper == (axis.below, axis.above) for axis in shares)  # what has no unit has no scale


def test_a_users_limits_take_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "cuts.toml").write_text("[morphology]\nbelow = 50.0\nabove = 60.0\n")
    known = phenotypes_of(tmp_path / "cuts.toml")
    raw = EVERYTHING | {"mean_area_Neoplastic": 55.0, "ratio_Neoplastic": 0.7}
    assert interpret(raw).labels["morphology"] == "Large/Pleomorphic"
    assert interpret(raw, known=known).labels["morphology"] == "Intermediate"
    assert interpret(raw, known=known).labels["composition"] == "High Tumour Purity"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[size]\nbelow = 1.0\nabove = 2.0\n", "size"),
        ("[immune]\nbelow = 2.0\nabove = 1.0\n", "is over above"),
        ("[immune]\nbelow = 2.0\n", "above"),
        ("[composition]\nbelow = 30.0\nabove = 60.0\n", "not percent"),
        ("[morphology]\nbelow = -5.0\nabove = 20.0\n", "never under 0"),
        ("[interaction]\nbelow = 0.0\nabove = 0.0\n", "never under 0"),
        ("[immune", "TOML"),
    ],
)
def test_limits_that_are_none_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "cuts.toml").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        phenotypes_of(tmp_path / "cuts.toml")
    assert "\n" not in str(caught.value)


def test_a_contradiction_names_tokens_and_labels_that_there_are() -> None:
    known = phenotypes()
    said = [axis.at(level) for axis in known.axes.values() for level in ("low", "intermediate", "high")]
    tokens = {
        *itertools.chain(*(one.tokens for one in said)),
        *known.low_purity.immune,
        *known.low_purity.stroma,
    }
    assert set(known.contradicts) <= tokens
    assert set(itertools.chain(*known.contradicts.values())) <= {one.label for one in said}


SHARES = st.lists(st.integers(0, 100), min_size=5, max_size=5).filter(any)


@settings(deadline=None)
@given(
    SHARES,
    st.floats(0, 1e3),
    st.floats(0, math.log2(5)),
    st.floats(0, 500),
    st.floats(0, 1),
    st.sampled_from(["px", "um"]),
)
def test_ours_never_contradicts_itself_and_the_paper_only_adds(
    counts: list[int], distance: float, entropy: float, area: float, engaged: float, unit: Any
) -> None:
    total = sum(counts)
    raw: dict[str, Any] = {
        "total_cell_count": total,
        **{f"count_{name}": count for name, count in zip(PANNUKE_CLASSES, counts, strict=True)},
        **{f"ratio_{name}": count / total for name, count in zip(PANNUKE_CLASSES, counts, strict=True)},
        "mean_dist_Inflammatory_to_Neoplastic": distance if counts[0] and counts[1] else None,
        "count_engaged_immune": int(engaged * counts[1]),
        "mean_spatial_entropy": entropy,
        "mean_area_Neoplastic": area if counts[0] else None,
    }
    ours, paper = interpret(raw, unit=unit), interpret(raw, compatible=True)
    for token, labels in phenotypes().contradicts.items():
        assert token not in ours.tokens or not set(labels) & set(ours.labels.values())
    assert len(set(ours.tokens)) == len(ours.tokens)
    assert {axis for axis, label in ours.labels.items() if label is None} == set(ours.undefined)
    if unit == "px":
        assert ours.labels == paper.labels
        assert set(ours.tokens) <= set(paper.tokens)
