"""The numbers of a cohort: read, pooled, written, asked by SQL."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.kept_profiles import keep_profile
from helpers.simulated_cohorts import NAMES, keep_cohort, keep_numbers, simulate

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.cohort.answers.making import make_tables
from histome.cohort.answers.tables import ask_sql, pool_patients, read_cohort, rule_of
from histome.cohort.answers.tables.measured import CohortNumbers
from histome.cohort.answers.tables.pooling import AGAIN, LARGEST, RATIO, SUM, WEIGHTED
from histome.errors import DataError, UsageError
from histome.metrics import measure
from histome.metrics.catalogue import find_metric, list_metrics
from histome.slide import ClassMap
from histome.tissue import Tissue

EXACT = (SUM, RATIO, LARGEST)
# All that the rules name, without the families that measure randomness.
FAMILIES = (
    *("total-area", "tissue-areas", "tissue-regions", "all-cells", "cells-per-class", "cells-by-tissue"),
    *("neighborhood-centers", "neighborhood-pairs", "tumor-zones", "tissues-in-zones", "cells-in-zones"),
    *("lymphoid-aggregates", "nuclei-per-class", "distance-to-carcinoma", "cross-g", "nearest-distances"),
    *("contacts", "clustering", "diversity", "ratios", "certainty", "not-counted"),
)


def drawn(seed: int, width: int, height: int, n: int) -> SimpleNamespace:
    """A slide of half carcinoma, half stroma with necrosis, epithelium and a vessel; cells anywhere."""
    rng = np.random.default_rng(seed)
    codes = np.full((height, width), TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    codes[height // 4 : 3 * height // 4, : width // 2] = TISSUE_CLASSES.index("CARCINOMA") + 1
    codes[10:60, width // 2 + 20 : width // 2 + 60] = TISSUE_CLASSES.index("VESSEL") + 1
    codes[-60:-20, width // 2 + 20 : width // 2 + 90] = TISSUE_CLASSES.index("NECROSIS") + 1
    codes[-60:-20, 20:80] = TISSUE_CLASSES.index("EPITHELIAL_TISSUE") + 1
    shape = {"area_um2": (20, 90), "perimeter_um": (20, 40), "major_axis_um": (5, 9), "minor_axis_um": (3, 5)}
    shape |= {"roundness": (0.5, 1), "eccentricity": (0.1, 0.9), "solidity": (0.8, 1), "confidence": (0.3, 1)}
    cells = pa.table(
        {
            "x_um": rng.uniform(5, 2 * width - 5, n),
            "y_um": rng.uniform(5, 2 * height - 5, n),
            "class": [CELL_CLASSES[k] for k in rng.integers(0, 9, n)],
            **{name: rng.uniform(*ends, n).astype("f4") for name, ends in shape.items()},
            "abstained": rng.uniform(size=n) < 0.1,
        }
    )
    run = {"config": {"metrics": {"families": list(FAMILIES), "edits": "/gone.jsonl"}}}
    tissue = Tissue.of(ClassMap(codes, 2.0, TISSUE_CLASSES))
    return SimpleNamespace(path=Path(f"s{seed}"), run=run, cells=cells, tissue=tissue)


@pytest.fixture(scope="module")
def two_slides():
    """Two slides of one patient and one of another: their numbers, and the slides as profiles."""
    from histome.config import MetricsConfig

    profiles = [drawn(1, 360, 260, 900), drawn(2, 300, 420, 1500), drawn(3, 300, 300, 500)]
    config = MetricsConfig(families=FAMILIES)
    tables = [measure(each.tissue, each.cells, config=config) for each in profiles]
    columns = {
        name: np.stack([table[name].to_numpy() for table in tables]) for name in ("value", "low", "high", "n")
    }
    about = {"slide": ("s1", "s2", "s3"), "patient": ("p", "p", "q"), "arm": ("a", "a", "b")}
    texts = (tuple(tables[0][name].to_pylist()) for name in ("name", "unit"))
    slides = CohortNumbers("slide", about["slide"], about, *texts, **columns)
    return slides, {each.path.name: each for each in profiles}


@pytest.fixture(scope="module")
def together(two_slides):
    """The same, the slides of p measured again as one."""
    slides, profiles = two_slides
    return pool_patients(slides, profiles=profiles.__getitem__)


def test_what_is_told_as_exact_is_what_the_slides_give_as_one(two_slides, together):
    pooled = pool_patients(two_slides[0])
    checked = set()
    for k, name in enumerate(pooled.names):
        own, one = pooled.value[0, k], together.value[0, k]
        few = find_metric(name).template.smallest_sample > 1  # each slide too few, both enough
        if pooled.how[k] in EXACT and np.isfinite(one) and not (few and np.isnan(own)):
            checked.add(find_metric(name).template.pattern)
            assert own == pytest.approx(one, rel=1e-9, abs=1e-12), name
    assert len(checked) > 45
    named = ("CELL_DENSITY_LYMPHOCYTE_STROMA", "TUMOR_STROMA_RATIO", "CELL_COUNT_OTHER", "INTRATUMORAL_TIL")
    assert {pooled.how[pooled.names.index(name)] for name in named} == {RATIO, SUM}


def test_medians_and_gini_are_told_as_approximate_and_measured_again(two_slides, together):
    pooled = pool_patients(two_slides[0])
    distance = "NN_DISTANCE_MEDIAN_OF_OTHER_FROM_OTHER"
    for name in ("NUCLEUS_MEDIAN_AREA_LYMPHOCYTE", "GINI_LYMPHOCYTE", distance):
        k = pooled.names.index(name)
        assert (pooled.how[k], together.how[k]) == (WEIGHTED, AGAIN)
        assert pooled.value[0, k] != together.value[0, k]
    _, profiles = two_slides
    areas = [
        np.asarray(p.cells["area_um2"])[
            np.isin(p.tissue.map.at(p.cells["x_um"], p.cells["y_um"]), [1, 2, 4, 5, 7])
            & (np.asarray(p.cells["class"]) == "lymphocyte")
        ]
        for p in (profiles["s1"], profiles["s2"])
    ]
    counted = np.median(np.concatenate(areas))
    assert together.value[0, together.names.index("NUCLEUS_MEDIAN_AREA_LYMPHOCYTE")] == pytest.approx(counted)


def test_a_patient_of_one_slide_keeps_its_numbers(two_slides):
    slides, _ = two_slides
    pooled = pool_patients(slides)
    np.testing.assert_array_equal(pooled.value[1], slides.value[2])
    assert pooled.ids == ("p", "q")
    assert pooled.about["arm"] == ("a", "b")
    assert pooled.about["slides"] == ("2", "1")


def _hand_worked(n: np.ndarray, value: np.ndarray, half: np.ndarray, names: tuple[str, ...]) -> CohortNumbers:
    about = {"slide": ("a", "b"), "patient": ("p", "p")}
    units = tuple(find_metric(name).unit for name in names)
    ends = value, value - half, value + half
    return pool_patients(CohortNumbers("slide", ("a", "b"), about, names, units, *ends, n))


def test_pooling_by_hand():
    names = ("CELL_COUNT_LYMPHOCYTE_STROMA", "ABSOLUTE_AREA_STROMA", "CELL_DENSITY_LYMPHOCYTE_STROMA")
    value = np.array([[10.0, 100.0, 0.1], [90.0, 300.0, 0.3]])
    half = np.array([[3.0, 0.0, 0.04], [4.0, 0.0, 0.02]])
    pooled = _hand_worked(np.full((2, 3), 9), value, half, names)
    np.testing.assert_allclose(pooled.value, [[100.0, 400.0, 0.25]])  # 100 cells on 400 um2
    # 3 and 4 make 5; a quarter of 0.04 and three quarters of 0.02.
    np.testing.assert_allclose(pooled.high - pooled.value, [[5.0, 0.0, np.hypot(0.01, 0.015)]], atol=1e-12)


def test_a_null_takes_no_part_and_an_unknown_interval_makes_none():
    names = ("NUCLEUS_AVG_AREA",)
    value, half = np.array([[50.0], [np.nan]]), np.array([[1.0], [1.0]])
    alone = _hand_worked(np.array([[40], [0]]), value, half, names)
    assert (alone.value[0, 0], alone.high[0, 0]) == (50.0, 51.0)
    value, half = np.array([[50.0], [70.0]]), np.array([[1.0], [np.nan]])
    unknown = _hand_worked(np.array([[30], [10]]), value, half, names)
    assert unknown.value[0, 0] == 55.0
    assert np.isnan(unknown.low[0, 0])


def test_every_metric_has_a_rule_whose_denominator_is_declared():
    for metric in list_metrics():
        rule = rule_of(metric)
        assert rule.how
        for name in rule.over:
            assert find_metric(name).unit in ("um2", "mm2", "cells"), metric.name


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Twelve patients with metrics alone."""
    return keep_cohort(tmp_path_factory.mktemp("small"), simulate(12, seed=3, twice=0.3))


def test_tables_hold_every_slide_and_patient(small):
    made = {path.name: path for path in make_tables(small)}
    slides, patients = (pq.read_table(made[name]) for name in ("slides.parquet", "patients.parquet"))
    manifest = (small / "manifest.csv").read_text().splitlines()
    assert len(slides) == len(manifest) - 1 > len(patients) == 12
    assert slides["arm"].to_pylist() == [line.split(",")[7] for line in manifest[1:]]
    assert set(NAMES) < set(patients.column_names)
    field = patients.schema.field("CELL_DENSITY_LYMPHOCYTE_CARCINOMA")
    assert field.metadata == {b"unit": b"cells/um2", b"pooled": RATIO.encode()}
    numbers = pq.read_table(made["numbers.parquet"])
    assert len(numbers) == len(slides) * len(NAMES)
    assert {"slide", "n", "low", "high", "reason"} < set(numbers.column_names)
    told = made["columns.csv"].read_text()
    assert "CELL_DENSITY_LYMPHOCYTE_CARCINOMA,cells/um2,cells-by-tissue," in told


def test_a_workbook_keeps_formulas_as_texts(small, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    from dataclasses import replace

    from histome.cohort.answers.tables.sheets import write_sheet

    slides = read_cohort(small)
    bad = replace(slides, about={**slides.about, "arm": ("=1+1",) * len(slides)})
    book = openpyxl.load_workbook(write_sheet(bad, tmp_path / "t.xlsx"))
    heads = [cell.value for cell in book["Numbers"][1]]
    assert book["Numbers"].cell(2, heads.index("arm") + 1).value == "'=1+1"
    at = heads.index("TUMOR_PURITY (1)")
    assert book["Numbers"].cell(2, at + 1).value == pytest.approx(slides.metric("TUMOR_PURITY")[0])
    assert heads[at + 1 : at + 3] == ["TUMOR_PURITY (1) low", "TUMOR_PURITY (1) high"]


def test_h5ad_holds_values_intervals_and_n(small, tmp_path):
    anndata = pytest.importorskip("anndata")
    from histome.cohort.answers.tables.sheets import write_h5ad

    slides = read_cohort(small)
    made = anndata.read_h5ad(write_h5ad(slides, tmp_path / "t.h5ad"))
    np.testing.assert_array_equal(made.X, slides.value)
    assert list(made.layers) == ["high", "low", "n"]
    assert made.obs["arm"].tolist() == list(slides.about["arm"])


@pytest.fixture(scope="module")
def with_cells(tmp_path_factory):
    """Three slides of two patients with cells; one has a quote in its name."""
    out = tmp_path_factory.mktemp("cells")
    for name in ("a", "b'c", "d"):
        keep_profile(out / name, name)
    lines = ["path,slide,patient,organ,exclude", "a.svs,a,p,breast,", "b.svs,b'c,p,breast,"]
    lines += ["d.svs,d,q,colon,", "x.svs,x,q,colon,", "y.svs,a,q,colon,yes"]
    (out / "manifest.csv").write_text("\n".join(lines))
    return out


def test_sql_over_all_cells(with_cells):
    pytest.importorskip("duckdb")
    query = "SELECT slide, patient, organ, count(*) AS n FROM cells GROUP BY ALL ORDER BY slide"
    rows = ask_sql(with_cells, query)
    n = pq.read_metadata(with_cells / "a" / "cells" / "cells.parquet").num_rows
    assert rows.to_pylist() == [
        {"slide": slide, "patient": patient, "organ": organ, "n": n}
        for slide, patient, organ in (("a", "p", "breast"), ("b'c", "p", "breast"), ("d", "q", "colon"))
    ]
    counted = "SELECT slide, value FROM numbers WHERE name = 'CELL_N_TOTAL' ORDER BY slide"
    assert ask_sql(with_cells, counted)["slide"].to_pylist() == ["a", "b'c", "d"]


def test_cells_of_a_cohort_that_has_none_are_one_line(small):
    pytest.importorskip("duckdb")
    with pytest.raises(UsageError, match="SQL: no profile of this cohort has cells yet"):
        ask_sql(small, "SELECT count(*) FROM cells")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{0}/manifest.csv')",
        "COPY slides TO '{0}/stolen.csv'",
        "ATTACH '{0}/other.db'",
        "SET enable_external_access = true",
        "SELEC",
    ],
)
def test_sql_reaches_nothing_else(with_cells, query):
    pytest.importorskip("duckdb")
    with pytest.raises(UsageError, match=r"^SQL: [^\n]+$"):
        ask_sql(with_cells, query.format(with_cells))
    assert not (with_cells / "stolen.csv").exists()


def test_tokens_are_shares_of_tiles(with_cells):
    from histome.cohort.answers.tables.measured import profiles_of
    from histome.cohort.answers.tables.tokens import with_tokens
    from histome.phenotype import tile_phenotypes

    profiles = [profile for _, profile in profiles_of(with_cells)]
    slides = with_tokens(read_cohort(with_cells), profiles, 200.0)
    labels = [each for each in tile_phenotypes(profiles[0].cells, 200.0)["immune"].to_pylist() if each]
    columns = [name for name in slides.names if name.startswith("PHENOTYPE_IMMUNE_")]
    assert labels
    assert sum(slides.metric(name)[0] for name in columns) == pytest.approx(1.0)
    assert slides.metric("PHENOTYPE_IMMUNE_IMMUNE_HOT")[0] == labels.count("Immune Hot") / len(labels)
    assert any(name.startswith("PHENOTYPE_TOKEN_") for name in slides.names)


def test_what_is_wrong_with_a_cohort_is_one_line(tmp_path):
    with pytest.raises(DataError, match="no manifest that can be read"):
        read_cohort(tmp_path)
    (tmp_path / "manifest.csv").write_text("slide\ns1\ns2\n")
    with pytest.raises(DataError, match="no profiles with metrics"):
        read_cohort(tmp_path)
    keep_numbers(tmp_path / "s1", "s1", np.ones(len(NAMES)))
    with pytest.raises(DataError, match=r"no column patient; add it"):
        pool_patients(read_cohort(tmp_path))
    (tmp_path / "manifest.csv").write_text("slide,patient\ns1,\n")
    with pytest.raises(DataError, match="s1 has no patient"):
        pool_patients(read_cohort(tmp_path))


def test_a_profile_measured_otherwise_is_refused(with_cells, tmp_path):
    keep_numbers(tmp_path / "s1", "s1", np.ones(len(NAMES)))
    keep_profile(tmp_path / "s2", "s2")
    (tmp_path / "manifest.csv").write_text("slide\ns1\ns2\n")
    with pytest.raises(DataError, match=r"^s2: not measured as s1 \(\d+ metrics differ, such as "):
        read_cohort(tmp_path)


def test_a_slide_never_leads_elsewhere(tmp_path):
    keep_numbers(tmp_path / "s1", "s1", np.ones(len(NAMES)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.csv").write_text("slide\n../s1\n")
    with pytest.raises(DataError, match="no profiles with metrics"):
        read_cohort(tmp_path / "out")
