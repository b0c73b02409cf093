"""What a cohort gives away: a data set that names nobody, and ranges that later reports show."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.kept_profiles import keep_profile
from helpers.simulated_cohorts import simulate

from histome.cohort.answers import publish_cohort, write_reference
from histome.cohort.answers.share.card import ModelTerms, check_license
from histome.cohort.answers.share.leaks import find_leak
from histome.errors import DataError, OutputError, UsageError
from histome.metrics.format import MetricValue
from histome.report.reference import ReferenceRanges, reference_key
from histome.slide import ClassMap

NAMES = ("Mueller_Anna_1961", "Mueller_Anna_1961_b", "Smith_John")
PATIENTS = ("Anna Mueller", "Anna Mueller", "John Smith")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("named")
    for name in NAMES:
        keep_profile(out / name, name)
    lines = [
        f"/data/{name}.svs,{name},{patient},breast,H&E,0.25,,treated,Dr. {patient}"
        for name, patient in zip(NAMES, PATIENTS, strict=True)
    ]
    (out / "manifest.csv").write_text(
        "\n".join(["path,slide,patient,organ,stain,mpp,exclude,arm,note", *lines]), encoding="utf-8"
    )
    return out


@pytest.fixture(scope="module")
def published(cohort):
    to = cohort / "given" / "dataset"
    return publish_cohort(cohort, to, license_id="CC-BY-4.0", title="Drawn slides", columns=["arm"])


def test_no_file_names_anybody(published):
    words = {"mueller", "smith", "anna", "john"}
    for path in published.rglob("*"):
        assert not any(word in path.name.lower() for word in words)
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            text = f"{table.schema} {table.schema.metadata} {table.drop_columns(_binary(table)).to_pylist()}"
        elif path.is_file():
            text = path.read_bytes().decode("latin-1")
        else:
            continue
        assert not any(word in text.lower() for word in words), path


def _binary(table):
    return [field.name for field in table.schema if pa.types.is_binary(field.type)]


def test_it_holds_tables_maps_cells_a_card_and_checksums(cohort, published):
    key = dict(
        line.split(",")[1:] for line in (cohort / "answers" / "publish_key.csv").read_text().splitlines()[1:]
    )
    slides = pq.read_table(published / "slides.parquet")
    assert sorted(slides["slide"].to_pylist()) == sorted(key[name] for name in NAMES)
    assert set(slides["patient"].to_pylist()) == {key["Anna Mueller"], key["John Smith"]}
    assert set(slides["arm"].to_pylist()) == {"treated"}
    assert not {"note", "path", "mpp"} & set(slides.column_names)
    folder = published / key[NAMES[0]]
    files = {
        "cells.parquet",
        "tissue.parquet",
        "tissue.ome.tif",
        "zones.ome.tif",
        "quality.ome.tif",
        "slide.json",
    }
    assert {path.name for path in folder.iterdir()} == files
    ours, theirs = (
        pq.read_table(path)
        for path in (cohort / NAMES[0] / "cells" / "cells.parquet", folder / "cells.parquet")
    )
    assert theirs["geometry"].equals(ours["geometry"])
    assert set(theirs["slide"].to_pylist()) == {key[NAMES[0]]}
    tissue = ClassMap.load(folder / "tissue.ome.tif")
    np.testing.assert_array_equal(
        tissue.array, ClassMap.load(cohort / NAMES[0] / "tissue" / "tissue.ome.tif").array
    )
    assert tissue.frame.slide == key[NAMES[0]]
    about = json.loads((folder / "slide.json").read_text())
    assert about["warning_codes"] == ["ORGAN_NOT_STATED"]
    assert "fingerprint" not in about


def test_the_card_and_the_license_say_what_it_is(published):
    card, terms = ((published / name).read_text() for name in ("README.md", "LICENSE.txt"))
    assert card.startswith("# Drawn slides\n")
    assert "3 H&E slides of 2 patients" in card
    assert "| breast | 3 |" in card
    assert "CC-BY-4.0, https://creativecommons.org/licenses/by/4.0/" in terms
    assert "- made-up 1: not stated" in terms


def test_checksums_are_those_of_every_file(published):
    lines = [line.split("  ") for line in (published / "SHA256SUMS").read_text().splitlines()]
    known = {name: digest for digest, name in lines}
    files = {p.relative_to(published).as_posix(): p for p in published.rglob("*") if p.is_file()}
    assert known.keys() == files.keys() - {"SHA256SUMS"}
    assert all(
        hashlib.sha256(files[name].read_bytes()).hexdigest() == digest for name, digest in known.items()
    )


def test_a_repeat_gives_the_same_names(cohort, published, tmp_path):
    again = publish_cohort(cohort, tmp_path / "again", license_id="CC0-1.0", title="Again")
    assert {p.name for p in again.iterdir() if p.is_dir()} == {
        p.name for p in published.iterdir() if p.is_dir()
    }
    assert "arm" not in pq.read_table(again / "slides.parquet").column_names


def test_a_name_in_a_column_that_goes_out_stops_it(cohort, tmp_path):
    with pytest.raises(OutputError, match=r"not published, slides\.parquet holds a name .* \(column note\)"):
        publish_cohort(cohort, tmp_path / "bad", license_id="CC0-1.0", title="t", columns=["note"])
    assert not (tmp_path / "bad").exists()
    assert not list(tmp_path.iterdir())


def test_a_leak_is_found_wherever_it_is(tmp_path):
    (tmp_path / "a.txt").write_text("by MUELLER_anna in March")
    assert find_leak(tmp_path, ["Mueller_Anna"]).startswith("a.txt holds a name")
    (tmp_path / "a.txt").unlink()
    field = pa.field("x", pa.int64(), metadata={"from": "Mueller_Anna"})
    pq.write_table(pa.table([[1]], schema=pa.schema([field])), tmp_path / "b.parquet")
    assert "in what it says of itself" in find_leak(tmp_path, ["Mueller_Anna"])
    assert find_leak(tmp_path, ["Smith_John", "1"]) == ""


def test_what_cannot_be_published_is_one_line(cohort, published, tmp_path):
    options = {"license_id": "CC0-1.0", "title": "t"}
    with pytest.raises(OutputError, match="is there already"):
        publish_cohort(cohort, published, **options)
    with pytest.raises(UsageError, match="column 'path' is not published"):
        publish_cohort(cohort, tmp_path / "x", **options, columns=["path"])
    with pytest.raises(UsageError, match=r"no license 'MIT'; give CC0-1.0 or CC-BY-4.0 or"):
        publish_cohort(cohort, tmp_path / "x", license_id="MIT", title="t")


def test_a_license_that_allows_more_than_the_weights_is_refused(tmp_path):
    terms = "CC BY-NC-SA 4.0, research use only: see LICENSE-WEIGHTS"
    given = [ModelTerms("free", "1", "Apache-2.0"), ModelTerms("nuclei", "5", terms)]
    for license_id in ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"):
        with pytest.raises(UsageError, match=r"the weights of nuclei 5 do not \(.*\); give CC-BY-NC-SA-4.0$"):
            check_license(license_id, given)
        check_license(license_id, given[:1])
    check_license("CC-BY-NC-SA-4.0", given)
    with pytest.raises(UsageError, match=r"give CC-BY-NC-4.0 or CC-BY-NC-SA-4.0$"):
        check_license("CC0-1.0", [ModelTerms("a", "1", "CC BY-NC 4.0")])

    with pytest.raises(UsageError, match=r"^no license 'MIT'; give CC-BY-NC-SA-4.0$"):
        check_license("MIT", given)
    # What is offered fits every model, not the first alone.
    both = [ModelTerms("a", "1", "CC BY-NC 4.0"), ModelTerms("b", "1", "CC BY-SA 4.0")]
    with pytest.raises(UsageError, match=r"the weights of a 1 .*; give CC-BY-NC-SA-4.0$"):
        check_license("CC0-1.0", both)

    keep_profile(tmp_path / "out" / "s1", "s1")
    (tmp_path / "out" / "manifest.csv").write_text("path,slide\ns1.svs,s1\n")
    run = json.loads((tmp_path / "out" / "s1" / "run.json").read_text())
    run["models"] = [{"name": "nuclei", "version": "5", "license": terms}]
    (tmp_path / "out" / "s1" / "run.json").write_text(json.dumps(run))
    with pytest.raises(UsageError, match=r"give CC-BY-NC-SA-4\.0"):
        publish_cohort(tmp_path / "out", tmp_path / "to", license_id="CC-BY-4.0", title="t")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.fixture(scope="module")
def ranges(tmp_path_factory):
    measured = simulate(100, seed=2, twice=0).measured
    path = tmp_path_factory.mktemp("ranges") / "reference.parquet"
    return measured, path, write_reference(measured, path)


def test_ranges_are_the_percentiles_of_each_organ(ranges):
    measured, _, table = ranges
    rows = {(row["organ"], row["name"]): row for row in table.to_pylist()}
    assert {organ for organ, _ in rows} == {"all", "breast", "colon"}
    breast = measured.column("organ") == "breast"
    row = rows["breast", "TUMOR_PURITY"]
    known = np.percentile(measured.metric("TUMOR_PURITY")[breast], (5, 25, 50, 75, 95))
    assert [row[name] for name in ("p05", "p25", "p50", "p75", "p95")] == known.tolist()
    assert row["n"] == breast.sum()


def test_a_report_says_where_a_number_lies(ranges):
    _, path, table = ranges
    rows = {row["name"]: row for row in table.to_pylist() if row["organ"] == "breast"}
    read = ReferenceRanges.read(path, "Breast")
    assert read.words == "breast, 5th to 95th percentile of slides"
    row = rows["TUMOR_PURITY"]
    told = [
        read.beside(MetricValue("TUMOR_PURITY", row[at] + by, "1", 9, None))["where"]
        for at, by in (("p05", -1e-6), ("p25", -1e-6), ("p50", 0), ("p95", -1e-6), ("p95", 1e-6))
    ]
    assert told == [
        *("lower than in 95 of 100", "in the lower quarter", "in the middle half"),
        *("in the upper quarter", "higher than in 95 of 100"),
    ]
    assert read.beside(MetricValue("TUMOR_PURITY", None, "1", 0, "none")) is None
    assert read.beside(MetricValue("SHANNON", 1.0, "1", 9, None)) is None
    assert read.beside(MetricValue("TUMOR_PURITY", 0.3, "%", 9, None)) is None
    assert ReferenceRanges.read(path, "liver").organ == "all"


def test_the_key_numbers_of_a_report_show_ranges(ranges):
    from helpers.profiles import make_metrics

    from histome.caveats.enough import EnoughTable
    from histome.report.tables import key_table

    _, path, _ = ranges
    metrics = EnoughTable(make_metrics(families=("core", "ratios"), values={"TUMOR_PURITY": 0.999}))
    rows = key_table(metrics, metrics, ReferenceRanges.read(path, None))
    shown = {row["shown"].source: row["reference"] for row in rows}
    assert any(shown.values())
    assert all(each["range"] for each in shown.values() if each)
    assert all(row["reference"] is None for row in key_table(metrics, metrics))


def test_the_key_of_a_report_changes_with_the_file(ranges, tmp_path):
    measured, path, _ = ranges
    other = tmp_path / "other.parquet"
    write_reference(measured.rows(np.arange(len(measured)) < 60), other)
    assert reference_key(path) != reference_key(other)
    with pytest.raises(UsageError, match=r"no file of reference ranges \(\[report\] reference\)"):
        reference_key(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("x")
    with pytest.raises(UsageError, match="`histome cohort reference` writes them"):
        ReferenceRanges.read(tmp_path / "text.parquet", None)


def test_what_gives_no_ranges_is_one_line(ranges, tmp_path):
    measured, _, _ = ranges
    with pytest.raises(DataError, match="19 slides: reference ranges need 20"):
        write_reference(measured.rows(np.arange(len(measured)) < 19), tmp_path / "r.parquet")
    with pytest.raises(DataError, match="not harmonized"):
        write_reference(replace(measured, harmonized="ComBat over scanner"), tmp_path / "r.parquet")
