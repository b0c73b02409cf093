"""A data set for others: tables, maps, cells, a data card, checksums, licenses; no patient text."""

import csv
import hashlib
import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from histome.cohort.answers.share.card import check_license, data_card, license_text, terms_of
from histome.cohort.answers.share.leaks import find_leak
from histome.cohort.answers.tables.measured import (
    OWN_COLUMNS,
    CohortNumbers,
    profiles_of,
    read_cohort,
    with_patients,
)
from histome.cohort.answers.tables.writing import ANSWERS, describe, numbers_table, wide_table
from histome.errors import DataError, OutputError, UsageError
from histome.geotable import write_geo_table
from histome.slide import ClassMap
from histome.store.disk import write_json, writing
from histome.store.profile import Profile

KEY = "publish_key.csv"
# What other programs wrote into the cells, in their words.
_FOREIGN = ("given_id", "given_class")
_PLAIN = ("organ", "stain")


@dataclass(frozen=True)
class Names:
    """New names of slides and patients, by the old ones."""

    slides: Mapping[str, str]
    patients: Mapping[str, str]

    def words(self, rows: Iterable[Mapping[str, str]]) -> set[str]:
        """Return every text that must not be published."""
        own = {row[name] for row in rows for name in ("slide", "patient", "path") if row.get(name)}
        return own | {Path(text).name for text in own} | {Path(text).stem for text in own}


def publish_cohort(
    out: str | Path, to: str | Path, *, license_id: str, title: str, columns: Sequence[str] = ()
) -> Path:
    """Write a cohort as a data set for others and return its folder.

    Slides and patients get new names, dealt by lot; OUT/answers/publish_key.csv, which stays here, says which
    is which, and a repeat uses it again. Of the manifest only organ, stain and `columns` go out; of the
    profiles the numbers, the cells and the maps, without file names, checksums of slides, pictures or times.
    Every file is searched for the old names before the folder is given its own.

    Raises
    ------
    OutputError
        `to` is there, or an old name was found in a file.
    DataError
        No profiles, or no column of that name.
    UsageError
        A column that holds names of slides or patients; a license that allows what the models' do not.
    """
    out, to = Path(out), Path(to)
    if to.exists():
        raise OutputError(f"{to}: is there already; name a folder that is not")
    models = terms_of([profile for _, profile in profiles_of(out)])
    check_license(license_id, models)
    slides = read_cohort(out)
    names = _names(out, slides)
    _check_columns(slides, columns)
    with writing(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=to.parent) as partial:
            folder = Path(partial) / to.name
            folder.mkdir()
            rows = _write(folder, out, slides, names, [*_PLAIN, *columns])
            card = data_card(slides, title=title, license_id=license_id, columns=columns)
            (folder / "README.md").write_text(card, encoding="utf-8")
            (folder / "LICENSE.txt").write_text(license_text(license_id, models), encoding="utf-8")
            if leak := find_leak(folder, names.words(rows)):
                raise OutputError(f"{to}: not published, {leak}")
            _write_checksums(folder)
            folder.replace(to)
    return to


def _check_columns(slides: CohortNumbers, columns: Sequence[str]) -> None:
    for name in columns:
        slides.column(name)
        if name in OWN_COLUMNS and name not in _PLAIN:
            raise UsageError(f"column {name!r} is not published: it names slides or patients")


def _names(out: Path, slides: CohortNumbers) -> Names:
    """Return the new names: those of the key that is there, and others by lot."""
    path = out / ANSWERS / KEY
    known: dict[tuple[str, str], str] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            known = {(row["kind"], row["here"]): row["published"] for row in csv.DictReader(file)}
    patients = with_patients(slides) if "patient" in slides.about else []
    for kind, own in (("slide", slides.ids), ("patient", tuple(dict.fromkeys(patients)))):
        new = [name for name in own if (kind, name) not in known]
        first = sum(each == kind for each, _ in known) + 1
        secrets.SystemRandom().shuffle(new)
        known |= {(kind, name): f"{kind[0].upper()}{k:05d}" for k, name in enumerate(new, start=first)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("kind", "here", "published"))
        writer.writerows((*key, value) for key, value in sorted(known.items()))
    return Names(
        *({here: new for (kind, here), new in known.items() if kind == each} for each in ("slide", "patient"))
    )


def _write(
    folder: Path, out: Path, slides: CohortNumbers, names: Names, columns: Sequence[str]
) -> list[Mapping[str, str]]:
    """Write tables and one folder a slide, by the new names; return the manifest's rows."""
    kept = [name for name in dict.fromkeys(columns) if name in slides.about]
    about = {name: slides.about[name] for name in kept}
    if names.patients:
        about = {"patient": tuple(names.patients[name] for name in slides.about["patient"]), **about}
    new = replace(slides, ids=tuple(names.slides[name] for name in slides.ids), about=about)
    pq.write_table(wide_table(new).sort_by("slide"), folder / "slides.parquet", compression="zstd")
    numbers = numbers_table(out)
    renamed = np.array([names.slides[name] for name in numbers["slide"].to_pylist()])
    order = np.argsort(renamed, kind="stable")
    sorted_names = pa.array(renamed[order].tolist()).dictionary_encode()
    numbers = numbers.take(pa.array(order)).set_column(0, "slide", sorted_names)
    pq.write_table(numbers, folder / "numbers.parquet", compression="zstd")
    with (folder / "columns.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "unit", "family", "definition"))
        writer.writerows((n, u, *describe(n)) for n, u in zip(slides.names, slides.units, strict=True))
    rows = []
    for row, profile in profiles_of(out):
        rows.append(row)
        _write_slide(folder / names.slides[row["slide"]], names.slides[row["slide"]], profile)
    return rows


def _write_slide(folder: Path, name: str, profile: Profile) -> None:
    """Write cells, regions, maps and what was measured how, of one slide."""
    folder.mkdir()
    if (profile.path / "cells").is_dir():
        cells = profile.cells
        cells = cells.drop_columns([each for each in _FOREIGN if each in cells.column_names])
        write_geo_table(_renamed(cells, name), folder / "cells.parquet")
    if (profile.path / "tissue").is_dir():
        write_geo_table(_renamed(profile.tissue.regions, name), folder / "tissue.parquet")
        _save_map(profile.tissue.map, folder / "tissue.ome.tif", name)
        _save_map(profile.tissue.zones, folder / "zones.ome.tif", name)
    if (profile.path / "qc").is_dir():
        _save_map(profile.quality.map, folder / "quality.ome.tif", name)
    run = profile.run
    about = {
        "slide": name,
        "mpp": {key: run["slide"]["mpp"][key] for key in ("x", "y")},
        "size_px": run["slide"].get("size_px"),
        "histome": run.get("code"),
        "models": [
            {key: model.get(key) for key in ("name", "version", "license")} for model in run.get("models", [])
        ],
        "warning_codes": sorted({warning.code for warning in profile.warnings}),
    }
    write_json(folder / "slide.json", about)


def _renamed(table: pa.Table, name: str) -> pa.Table:
    """Return a table of shapes whose constant column slide says the new name."""
    place = table.schema.get_field_index("slide")
    if place < 0:
        return table
    constant = pa.array([name] * len(table), pa.string()).cast(table.schema.field(place).type)
    return table.set_column(place, table.schema.field(place), constant)


def _save_map(given: ClassMap, path: Path, name: str) -> None:
    frame = given.frame and given.frame._replace(**{given.frame._fields[0]: name})
    replace(given, frame=frame).save(path)


def _write_checksums(folder: Path) -> None:
    """Write SHA256SUMS, as `sha256sum -c` reads it."""
    lines = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    if not lines:
        raise DataError(f"{folder}: nothing to publish")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
