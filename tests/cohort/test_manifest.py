"""Which slides a cohort has, and what is said where a manifest is wrong."""

import csv
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_containers import write_dicom

from histome.cohort.manifest import read_slides, write_manifest
from histome.errors import UsageError


def manifest(folder: Path, *lines: str) -> Path:
    path = folder / "m.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def test_a_manifest_says_all_of_a_slide(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "Path,slide,patient,organ,stain,mpp,exclude,Center",
        "a/1.svs,first,P1,large bowel,H&E,0.25,,Bern",
        "",
        "s3://bucket/2.svs?version=3,,P2,,,,yes,Basel",
        "/x/3.svs,,,,PD-L1,,,",
        "/x/4.svs,,,,h and e,,pen marks,",
    )
    one, two, three, four = read_slides([path])
    assert (one.path, one.slide, one.patient) == (str(tmp_path / "a/1.svs"), "first", "P1")
    assert (one.organ, one.mpp, one.exclude, one.more) == ("colorectum", 0.25, "", {"Center": "Bern"})
    assert (two.path, two.slide) == ("s3://bucket/2.svs?version=3", "2")
    assert two.exclude == "excluded in the manifest"
    assert three.exclude == "stained with PD-L1, not with H&E"
    assert four.exclude == "pen marks"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["file,mpp", "a.svs,1"], "no column path; its columns are file, mpp"),
        (["path,path", "a.svs,1"], "two columns are called path"),
        (["path,mpp", "a.svs"], "row 2 has 1 values, the header 2"),
        (["path,mpp", "a.svs,quarter"], "row 2: mpp quarter is no number of um per px"),
        (["path,mpp", "a.svs,-1"], "row 2: mpp -1 is no number of um per px"),
        (["path,organ", "a.svs,lever"], "row 2: 'lever' is no organ known here; did you mean liver"),
        (["path,slide", "a.svs,../x"], "row 2: ../x cannot be the name of a folder"),
        (["path,slide", "a.svs,logs"], "row 2: logs cannot be the name of a folder"),
        (["path", "a/1.svs", "b/1.svs"], "would both be the slide 1"),
        (["path,slide", ",x"], "row 2: no path"),
        (["path"], "no slides"),
    ],
)
def test_a_wrong_manifest_is_one_line(tmp_path: Path, lines: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told.replace(".", "[.]")):
        read_slides([manifest(tmp_path, *lines)])


def test_folders_globs_and_series_of_dicom_are_slides(tmp_path: Path) -> None:
    for name in ("a.svs", "b.tif", "notes.txt", "series/1.dcm", "series/2.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x" * len(name))
    assert [slide.slide for slide in read_slides([tmp_path])] == ["a", "b", "series"]
    assert [slide.slide for slide in read_slides([f"{tmp_path}/*.svs"])] == ["a"]
    for nothing in (f"{tmp_path}/*.ndpi", str(tmp_path / "c.svs")):
        with pytest.raises(UsageError):
            read_slides([nothing])


def test_two_series_in_one_folder_are_two_slides(tmp_path: Path) -> None:
    pixels = np.full((600, 600, 3), 200, np.uint8)
    for name, series, size in (("1", "7.1", 600), ("2", "7.1", 32), ("3", "7.2", 64)):
        file = tmp_path / "study" / f"{name}.dcm"
        file.parent.mkdir(exist_ok=True)
        write_dicom(file, pixels[:size, :size], series=series, instance=f"{series}.{name}")
    assert [slide.slide for slide in read_slides([tmp_path])] == ["1", "3"]
    (tmp_path / "study" / "3.dcm").unlink()
    (one,) = read_slides([tmp_path])
    assert (one.slide, Path(one.path).name) == ("study", "1.dcm")


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    slides = read_slides([manifest(tmp_path, "path,mpp,center", 'a.svs,0.25,"Bern, CH"', "b.svs,,")])
    write_manifest(slides, tmp_path)
    assert read_slides([tmp_path / "manifest.csv"]) == slides
    with (tmp_path / "manifest.csv").open() as file:
        header = next(csv.reader(file))
    assert header == ["path", "slide", "patient", "organ", "stain", "mpp", "exclude", "center"]
