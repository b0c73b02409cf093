"""Limits that an outcome chooses: the true one is found, and chance is told as chance."""

import numpy as np
import pytest

from histome.cli import main
from histome.errors import UsageError
from histome.phenotype.axes import phenotypes, phenotypes_of
from histome.validation.axis_cuts import cuts_to_toml, outcome_cuts

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


def test_an_axis_that_few_patients_have_is_refused():
    values, outcome, patients = study()
    values["composition"][ROWS:] = np.nan
    with pytest.raises(UsageError, match="composition: 1 patients have a value"):
        outcome_cuts(values, outcome, patients)


def test_the_command_writes_limits_that_a_patch_takes(tmp_path, capsys):
    values, outcome, patients = study()
    lines = ["patient,response,mean_area_Neoplastic,ratio_Neoplastic"]
    rows = zip(patients, outcome, values["morphology"], values["composition"], strict=True)
    lines += [f"{p},{int(y)},{area},{share}" for p, y, area, share in rows]
    (tmp_path / "tiles.csv").write_text("\n".join(lines))
    options = ["--outcome", "response", "--patient", "patient", "-o", str(tmp_path / "cuts.toml")]
    with pytest.raises(SystemExit, match="0"):
        main(["tme", "cuts", str(tmp_path / "tiles.csv"), *options])
    assert "on other patients" in capsys.readouterr().out
    known = phenotypes_of(tmp_path / "cuts.toml")
    assert known.axes["morphology"].below == known.axes["morphology"].above
    assert 35 < known.axes["morphology"].below < 45
    assert known.axes["stroma"] == phenotypes().axes["stroma"]
    assert known.axes["composition"] == phenotypes().axes["composition"]  # chance: in comments
    assert "# [composition]" in (tmp_path / "cuts.toml").read_text()
    found = outcome_cuts({name: values[name] for name in ("composition", "morphology")}, outcome, patients)
    assert cuts_to_toml(found) == (tmp_path / "cuts.toml").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient,response\np,1\n", "none of the columns"),
        ("patient,ratio_Neoplastic\np,1\n", "no column response"),
        ("patient,response,ratio_Neoplastic\np,2,1\n", "must be 0 or 1"),
        ("patient,response,ratio_Neoplastic\np,1,1\n,0,1\n", "a row has no patient"),
        ("patient,response,ratio_Neoplastic\np,1,x\n", "column ratio_Neoplastic holds no numbers"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(tmp_path, capsys, text, said):
    (tmp_path / "t.csv").write_text(text)
    options = ["--outcome", "response", "--patient", "patient", "-o", str(tmp_path / "c.toml")]
    with pytest.raises(SystemExit):
        main(["tme", "cuts", str(tmp_path / "t.csv"), *options])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c.toml").exists()
