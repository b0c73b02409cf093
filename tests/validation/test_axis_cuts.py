"""Limits that an outcome chooses: the true one is found, and chance is told as chance."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histome.cli import main
from histome.errors import UsageError
from histome.phenotype.axes import phenotypes, phenotypes_of
from histome.validation.axis_cuts import cut_doubts, cuts_to_toml, outcome_cuts, read_outcome_table

PATIENTS = 60
ROWS = 5


def study(seed=0):
    """Five tiles of each patient; the outcome goes with nuclei of over 40 um2; purity is chance."""
    rng = np.random.default_rng(seed)
    ill = np.arange(PATIENTS) % 2 == 0
    center = np.where(ill, 50.0, 30.0)
    area = (center[:, None] + rng.normal(0, 3, (PATIENTS, ROWS))).ravel()
    chance = rng.random(PATIENTS * ROWS)
    patients = [f"p{k:02d}" for k in range(PATIENTS) for _ in range(ROWS)]
    return {"morphology": area, "composition": chance}, np.repeat(ill, ROWS), patients


def test_the_limit_that_tells_is_found_and_holds_on_other_patients():
    morphology, _ = outcome_cuts(*study())
    assert 35 < morphology.cut < 45
    assert morphology.high_is_event
    assert morphology.youden.value > 0.95
    assert (morphology.youden.units, morphology.rows) == (PATIENTS, PATIENTS * ROWS)


def test_chance_is_told_as_chance():
    """On the patients that chose it a limit looks better than it is; on others, in 20 studies, it is not."""
    found = [outcome_cuts(*study(seed))[1] for seed in range(20)]
    assert abs(np.mean([c.youden.value for c in found])) < 0.06
    assert sum(c.youden.low <= 0 <= c.youden.high for c in found) >= 16


def test_noise_on_six_axes_is_seldom_in_use():
    """Of 40 studies of patients whose tiles are alike; by the intervals of the axes alone 16 have a limit."""
    ill, names = np.arange(40) % 2 == 0, [f"p{k}" for k in range(40) for _ in range(ROWS)]
    studies, in_use = 40, 0
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        noise = (rng.normal(size=(6, 40, 1)) + rng.normal(size=(6, 40, ROWS))).reshape(6, -1)
        values = dict(zip(phenotypes().axes, noise, strict=True))
        cuts = outcome_cuts(values, np.repeat(ill, ROWS), names, seed=seed)
        in_use += any(cut.holds for cut in cuts)
    assert in_use <= 6  # 2 are expected; more than 6 come in 3 of 1,000 such tests


def uneven(seed):
    """Noise: ten patients of forty are ill and have one or two rows, the others 1 to 61."""
    rng = np.random.default_rng(seed)
    ill = np.arange(40) % 4 == 0
    rows = np.where(ill, rng.integers(1, 3, 40), 1 + rng.integers(1, 61, 40) ** 2 // 60)
    patient = np.repeat(np.arange(40), rows)
    noise = 10 + rng.normal(size=40)[patient] / 3 + rng.normal(size=len(patient))
    return {"morphology": noise}, ill[patient], patient.astype(str)


def test_an_outcome_that_goes_with_the_number_of_rows_is_seldom_told():
    """In 100 studies of noise; where all patients exchange outcomes p is under 0.05 in 20."""
    found = [outcome_cuts(*uneven(seed), seed=seed)[0].p for seed in range(100)]
    assert sum(p < 0.05 for p in found) <= 11  # 5 are expected; more than 11 come in 4 of 1,000 such tests


def test_patients_exchange_with_those_of_a_like_number_of_rows():
    """With 4 to 7 rows all are alike; of 4 of 40 patients with a row each, all ill, the outcome stays."""
    values, outcome, patients = study()
    assert outcome_cuts(values, outcome, patients)[0].fixed == 0
    left = np.flatnonzero(np.isin(patients, ["p00", "p02", "p04", "p06"]))
    gone = np.setdiff1d(left, left[::ROWS])
    cuts = outcome_cuts(
        {k: np.delete(v, gone) for k, v in values.items()},
        np.delete(outcome, gone),
        np.delete(patients, gone),
    )
    assert [cut.fixed for cut in cuts] == [4, 4]
    assert cuts[0].holds
    assert cut_doubts(cuts, values) == []


def test_where_nothing_can_be_exchanged_there_is_no_p_and_that_is_told():
    """One row of each ill patient, eight of each other: the outcome is the number of rows."""
    ill = np.arange(40) < 20
    patient = np.repeat(np.arange(40), np.where(ill, 1, 8))
    values = {"morphology": 30.0 + 20 * ill[patient] + np.arange(len(patient)) % 7}
    cuts = outcome_cuts(values, ill[patient], patient.astype(str))
    assert (cuts[0].youden.value, cuts[0].p, cuts[0].fixed) == (1.0, 1.0, 40)
    (doubt,) = cut_doubts(cuts, values)
    assert doubt.startswith(
        "morphology: more than half of the patients have no patient with the other outcome"
    )


def test_p_is_printed_and_counts_the_axes():
    morphology, composition = outcome_cuts(*study())
    assert morphology.p == pytest.approx(1 / 1001)
    assert morphology.p_holm == pytest.approx(2 / 1001)
    assert morphology.holds
    assert composition.p_holm == composition.p > 0.05
    assert not composition.holds
    assert "p = 0.001, 0.002 with the other axes (Holm)" in morphology.line()


def test_an_axis_of_one_value_is_chance():
    values, outcome, patients = study()
    flat = outcome_cuts({"immune": np.full_like(values["composition"], 0.3)}, outcome, patients)[0]
    assert (flat.cut, flat.p, flat.holds) == (0.3, 1.0, False)


def test_the_side_is_told():
    values, outcome, patients = study()
    turned = outcome_cuts({"morphology": -values["morphology"]}, outcome, patients)[0]
    assert not turned.high_is_event
    assert turned.youden.value > 0.95


def test_few_patients_and_mixed_ones_are_refused():
    values, outcome, patients = study()
    few = np.isin(patients, [f"p{k:02d}" for k in range(19)])
    with pytest.raises(UsageError, match="10 of each are needed"):
        outcome_cuts({k: v[few] for k, v in values.items()}, outcome[few], np.array(patients)[few].tolist())
    with pytest.raises(UsageError, match="p00 has both outcomes"):
        outcome_cuts(values, np.r_[~outcome[:1], outcome[1:]], patients)


def test_an_axis_that_few_patients_have_is_left_out_and_told():
    values, outcome, patients = study()
    values["composition"][ROWS:] = np.nan
    cuts = outcome_cuts(values, outcome, patients)
    assert [cut.axis for cut in cuts] == ["morphology"]
    assert cuts[0].p_holm == cuts[0].p
    (doubt,) = cut_doubts(cuts, values)
    assert doubt.startswith("composition: left out, as fewer than 10 patients")
    with pytest.raises(UsageError, match="no axis has values of 10 patients"):
        outcome_cuts({"composition": values["composition"]}, outcome, patients)


def test_the_command_writes_limits_that_a_patch_takes(tmp_path, capsys):
    values, outcome, patients = study()
    lines = ["patient,response,mean_area_Neoplastic,ratio_Neoplastic"]
    rows = zip(patients, outcome, values["morphology"], values["composition"], strict=True)
    lines += [f"{p},{int(y)},{area},{share}" for p, y, area, share in rows]
    (tmp_path / "tiles.csv").write_text("\n".join(lines))
    options = ["--outcome", "response", "--patient", "patient", "-o", str(tmp_path / "cuts.toml")]
    with pytest.raises(SystemExit, match="0"):
        main(["tme", "cuts", str(tmp_path / "tiles.csv"), *options])
    composition, morphology = capsys.readouterr().out.splitlines()
    assert "the outcome goes with ratio_Neoplastic" in composition
    assert composition.endswith("; not surely better than chance, so not in use")
    assert re.search(r"goes with mean_area_Neoplastic over [34]\d\.\d+ um2; on other patients", morphology)
    assert "chance" not in morphology
    known = phenotypes_of(tmp_path / "cuts.toml")
    assert known.axes["morphology"].below == known.axes["morphology"].above
    assert 35 < known.axes["morphology"].below < 45
    assert known.axes["stroma"] == phenotypes().axes["stroma"]
    assert known.axes["composition"] == phenotypes().axes["composition"]  # chance: in comments
    assert "# [composition]" in (tmp_path / "cuts.toml").read_text()
    found = outcome_cuts({name: values[name] for name in ("composition", "morphology")}, outcome, patients)
    assert cuts_to_toml(found) == (tmp_path / "cuts.toml").read_text()


def written(path, values, outcome, patients, counts, neoplastic=20):
    """The rows as `tme tiles` writes them, with a count of cells each, and of neoplastic ones."""
    lines = ["patient,response,total_cell_count,count_Neoplastic,mean_area_Neoplastic"]
    rows = zip(
        patients,
        outcome,
        counts,
        np.broadcast_to(neoplastic, len(patients)),
        values["morphology"],
        strict=True,
    )
    path.write_text("\n".join([*lines, *(f"{p},{int(y)},{n},{m},{area}" for p, y, n, m, area in rows)]))
    return path


def test_rows_of_few_cells_decide_nothing_and_are_told(tmp_path, capsys):
    """As many turned rows of 19 cells as true ones of 20; one patient has only such rows."""
    values, outcome, patients = study()
    few = {"morphology": 80 - values["morphology"]}
    one = ["p60"] * ROWS
    path = written(
        tmp_path / "t.csv",
        {"morphology": [*values["morphology"], *few["morphology"], *[30.0] * ROWS]},
        [*outcome, *outcome, *[True] * ROWS],
        [*patients, *patients, *one],
        [20] * len(patients) + [19] * (len(patients) + ROWS),
    )
    rows = read_outcome_table(path, outcome="response", patient="patient")
    assert rows.patients == patients
    assert rows.values["morphology"].tolist() == pytest.approx(values["morphology"].tolist())
    options = ["--outcome", "response", "--patient", "patient", "-o", str(tmp_path / "cuts.toml")]
    with pytest.raises(SystemExit, match="0"):
        main(["tme", "cuts", str(path), *options])
    out, err = capsys.readouterr()
    assert "60 patients, 300 rows" in out
    assert "305 of 605 rows left out: fewer than 20 cells; 1 patient has no other" in err


def test_without_counts_all_rows_decide_and_that_is_told(tmp_path):
    values, outcome, patients = study()
    path = written(tmp_path / "t.csv", values, outcome, patients, [1] * len(patients))
    with pytest.raises(
        UsageError, match="300 of 300 rows left out: fewer than 20 cells; 60 patients have no"
    ):
        read_outcome_table(path, outcome="response", patient="patient")
    path.write_text(path.read_text().replace("total_cell_count", "n"))
    rows = read_outcome_table(path, outcome="response", patient="patient")
    assert len(rows.patients) == len(patients)
    assert rows.left_out == ["no column total_cell_count: rows of fewer than 20 cells could not be left out"]
    enough = written(path, values, outcome, patients, [20] * len(patients))
    assert read_outcome_table(enough, outcome="response", patient="patient").left_out == []


def test_rows_of_few_cells_of_its_class_choose_no_limit_of_an_axis_and_are_told(tmp_path, capsys):
    """As many turned rows with 19 neoplastic cells, or an unknown number, as true ones with 20."""
    values, outcome, patients = study()
    turned = [*values["morphology"], *(80 - values["morphology"])]
    few = [20] * len(patients) + [19] * (len(patients) - 1) + [""]
    path = written(
        tmp_path / "t.csv", {"morphology": turned}, [*outcome] * 2, [*patients] * 2, [50] * len(few), few
    )
    rows = read_outcome_table(path, outcome="response", patient="patient")
    assert len(rows.patients) == 2 * len(patients)
    expected = [*values["morphology"], *[np.nan] * len(patients)]
    np.testing.assert_allclose(rows.values["morphology"], expected)
    options = ["--outcome", "response", "--patient", "patient", "-o", str(tmp_path / "cuts.toml")]
    with pytest.raises(SystemExit, match="0"):
        main(["tme", "cuts", str(path), *options])
    out, err = capsys.readouterr()
    assert "(60 patients, 300 rows)" in out
    assert "t.csv: morphology: 300 of 600 rows left out: fewer than 20 Neoplastic cells\n" in err


def test_without_counts_of_its_classes_all_rows_choose_an_axis_and_that_is_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "patient,response,total_cell_count,count_Neoplastic,mean_dist_Inflammatory_to_Neoplastic,"
        "ratio_Neoplastic\np,1,50,20,7,0.5\nq,0,50,19,8,0.5\n"
    )
    rows = read_outcome_table(path, outcome="response", patient="patient")
    cells = "fewer than 20 Inflammatory or Neoplastic cells"
    assert rows.left_out == [
        f"interaction: no column count_Inflammatory: rows of {cells} could not be left out",
        f"interaction: 1 of 2 rows left out: {cells}",
    ]
    np.testing.assert_equal(rows.values["interaction"], [7, np.nan])
    np.testing.assert_equal(rows.values["composition"], [0.5, 0.5])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient,response\np,1\n", "none of the columns"),
        ("patient,ratio_Neoplastic\np,1\n", "no column response"),
        ("patient,response,ratio_Neoplastic\np,2,1\n", "t.csv: row 1 below the head has the response 2; "),
        ("patient,response,ratio_Neoplastic\np,1,1\np,,1\n", "row 2 below the head has the response empty; "),
        (
            "patient,response,ratio_Neoplastic\np,1,1\np,yes,1\n",
            "row 1 below the head has the response '1'; ",
        ),
        (
            "patient,response,ratio_Neoplastic\np,1,1\np,0,-inf\n",
            "row 2 below the head has the ratio_Neoplastic -inf; ",
        ),
        ("patient,response,ratio_Neoplastic\np,1,1\n,0,1\n", "row 2 below the head has no patient ('')"),
        (
            "patient,response,ratio_Neoplastic\np,1,1\np,1,1\nNA,0,1\n",
            "row 3 below the head has no patient ('NA')",
        ),
        ("patient,response,ratio_Neoplastic\n NaN,1,1\n", "row 1 below the head has no patient"),
        ("patient,response,ratio_Neoplastic\n1,1,1\n,0,1\n", "row 2 below the head has no patient (empty)"),
        ("patient,response,ratio_Neoplastic\np,1,x\n", "column ratio_Neoplastic holds no numbers"),
        (
            "patient,response,patient,ratio_Neoplastic\np,1,p,1\n",
            "the column patient is there more than once",
        ),
        (
            "patient,ratio_Neoplastic,response,ratio_Neoplastic\np,1,1,1\n",
            "t.csv: the column ratio_Neoplastic is there more",
        ),
        (
            "patient,response,ratio_Neoplastic\np,1,40\nq,0,0.5\n",
            "ratio_Neoplastic is a share, from 0 to 1, not percent; the column holds 0.5 to 40",
        ),
        (
            "patient,response,mean_area_Neoplastic\np,1,40\nq,0,-1\n",
            "t.csv: mean_area_Neoplastic is never under 0; the column holds -1 to 40",
        ),
        ("patient,response,ratio_Neoplastic\n", "t.csv: 0 patients with the outcome"),
        (
            "patient,response,ratio_Neoplastic,total_cell_count\np,1,1,many\n",
            "column total_cell_count holds no numbers",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(tmp_path, capsys, text, said):
    (tmp_path / "t.csv").write_text(text)
    options = ["--outcome", "response", "--patient", "patient", "-o", str(tmp_path / "c.toml")]
    with pytest.raises(SystemExit):
        main(["tme", "cuts", str(tmp_path / "t.csv"), *options])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c.toml").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
@pytest.mark.parametrize(
    "text",
    ["patient,response,ratio_Neoplastic,Größe\np,1,1,2\n", "patient,response,ratio_Neoplastic\nMüller,1,1\n"],
)
def test_a_table_in_another_encoding_is_one_line(tmp_path, capsys, text, encoding):
    (tmp_path / "t.csv").write_text(text, encoding=encoding)
    options = ["--outcome", "response", "--patient", "patient", "-o", str(tmp_path / "c.toml")]
    with pytest.raises(SystemExit, match="1"):
        main(["tme", "cuts", str(tmp_path / "t.csv"), *options])
    assert "t.csv: its text is not UTF-8; save it as CSV UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [float("nan"), None])
def test_a_patient_that_parquet_does_not_know_is_refused(tmp_path, missing):
    columns = {"patient": [1.0, missing], "response": [0, 1], "ratio_Neoplastic": [0.5, 0.5]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(UsageError, match=r"t\.parquet: row 2 below the head has no patient"):
        read_outcome_table(tmp_path / "t.parquet", outcome="response", patient="patient")


def test_a_doubled_column_of_parquet_is_one_line(tmp_path):
    columns = [pa.array(["p"]), pa.array([1]), pa.array(["p"]), pa.array([0.5])]
    pq.write_table(
        pa.table(columns, ["patient", "response", "patient", "ratio_Neoplastic"]), tmp_path / "t.parquet"
    )
    with pytest.raises(UsageError, match=r"t\.parquet: the column patient is there more than once"):
        read_outcome_table(tmp_path / "t.parquet", outcome="response", patient="patient")
