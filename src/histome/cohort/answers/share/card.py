"""What a published cohort says of itself: its data card and its licenses."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import histome
from histome.cohort.answers.page.answer import counted
from histome.cohort.answers.tables.measured import CohortNumbers
from histome.errors import UsageError
from histome.names import shown
from histome.store.profile import Profile

LICENSES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
}


class ModelTerms(NamedTuple):
    """A model that numbers were made with, and the license of its weights as its card says it."""

    name: str
    version: str
    license: str


def terms_of(profiles: Sequence[Profile]) -> list[ModelTerms]:
    """Return the models of profiles, each once."""
    models = {
        ModelTerms(str(model["name"]), str(model["version"]), str(model.get("license") or "not stated"))
        for profile in profiles
        for model in profile.run.get("models", [])
    }
    return sorted(models)


def check_license(license_id: str, models: Sequence[ModelTerms]) -> None:
    """Raise UsageError for a license that is not known, or that allows what the weights' do not.

    Of weights for no commercial use (NC), or to be shared alike (SA), numbers go out on these terms, too.
    """
    asked = {model: {"NC", "SA"} & set(re.findall(r"\w+", model.license)) for model in models}
    every = set().union(*asked.values())
    fitting = " or ".join(each for each in LICENSES if every <= set(each.split("-")))
    if license_id not in LICENSES:
        raise UsageError(f"no license {license_id!r}; give {fitting}")
    for model, terms in asked.items():
        if not terms <= set(license_id.split("-")):
            raise UsageError(
                f"--license {license_id} allows what the weights of {model.name} {model.version} do not "
                f"({model.license}); give {fitting}"
            )


def license_text(license_id: str, models: Sequence[ModelTerms]) -> str:
    """Return LICENSE.txt: that of the data, and those of the models."""
    lines = [
        f"The data in this folder: {license_id}, {LICENSES[license_id]}",
        "",
        f"They were made with histome {histome.__version__} (Apache-2.0) and these models, whose weights "
        "are not here:",
        *(f"- {model.name} {model.version}: {model.license}" for model in models),
        "",
        "Terms of the slides themselves, which are not here, are those of their owners.",
    ]
    return shown("\n".join(lines) + "\n", keep="\n")


def data_card(slides: CohortNumbers, *, title: str, license_id: str, columns: Sequence[str]) -> str:
    """Return README.md: what is here, how it was made, how to read it, what not to do with it."""
    patients = len(set(slides.about["patient"])) if "patient" in slides.about else None
    organs = Counter(text or "not stated" for text in slides.about.get("organ", [""] * len(slides)))
    who = f" of {counted(patients, 'patient')}" if patients else ""
    table = [f"| {name} | {number} |" for name, number in sorted(organs.items())]
    own = ", ".join(f"`{name}`" for name in columns) or "none"
    lines = [
        f"# {title}",
        "",
        f"The tumor microenvironment of {counted(len(slides), 'H&E slide')}{who}, measured by histome "
        f"{histome.__version__}. License: {license_id}. For research use only, not for diagnosis.",
        "",
        "| organ | slides |",
        "|---|---|",
        *table,
        "",
        "## What is here",
        "",
        f"- `slides.parquet`: a row a slide: {len(slides.names):,} metrics; columns of the cohort's own: "
        f"{own}.",
        "- `numbers.parquet`: a row a slide and metric: value, unit, n, 95 % interval, or the reason of a "
        "null.",
        "- `columns.csv`: what each metric is.",
        "- a folder a slide: `cells.parquet` (GeoParquet, a row a nucleus: class, confidence, shape, "
        "outline), "
        "`tissue.parquet` (regions), `tissue.ome.tif`, `zones.ome.tif`, `quality.ome.tif` (maps), "
        "`slide.json` "
        "(size, um/px, models, warning codes).",
        "- `SHA256SUMS`: `sha256sum -c SHA256SUMS` says whether all of it arrived.",
        "",
        "Coordinates are level-0 pixels of the slides, x right, y down; `x_um`, `y_um` are microns.",
        "",
        "## How it was made",
        "",
        "By models, not by people: tissue and cell classes are predictions with the errors that the models' "
        "cards state, and differ between organs and scanners. `warning_codes` in slide.json says what to "
        "know "
        "before believing a number; intervals say how much another piece of the same tissue could differ, "
        "not "
        "whether the models are right.",
        "",
        "## What is not here",
        "",
        "No pictures, file names, slide labels, dates or names. Slides and patients have names dealt by lot. "
        "Do not try to find out who they are.",
    ]
    return shown("\n".join(lines) + "\n", keep="\n")
