"""histome cohort table, sql, compare, survival, batch and their like: answers from a cohort's profiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histome.cli import console

if TYPE_CHECKING:
    from histome.cohort.answers.page.answer import Answer

_Out = Annotated[Path, typer.Argument(metavar="OUT", help="The cohort's folder: manifest.csv and profiles.")]
_To = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder for tables, figures and page; OUT/answers if not given."),
]
_Each = Annotated[str, typer.Option(help="What counts as one: patient (their slides pooled) or slide.")]
_Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric", help="A name (* for any letters), a family, core (thirty numbers) or all; may repeat."
    ),
]
_By = Annotated[str, typer.Option(help="Column of manifest.csv with the groups.")]
_Batch = Annotated[str, typer.Option(help="Column with the scanner, the center or another batch.")]
_Time = Annotated[str, typer.Option(help="Column with the time to the event, or as long as none was seen.")]
_Event = Annotated[str, typer.Option(help="Column with 1 for an event, 0 for none.")]
_Covariates = Annotated[
    list[str] | None, typer.Option("--covariate", help="Column held still in models; may be repeated.")
]
_Harmonize = Annotated[
    str, typer.Option(help="Column whose batches ComBat makes alike first; told in every table.")
]
_Seed = Annotated[int, typer.Option(min=0, help="Of what is drawn by lot.")]


def table(
    out: _Out,
    tokens: Annotated[
        str | None, typer.Option(help="Side of tiles, as 500um: adds a column for each phenotype and token.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure the slides of a patient again as one: exact, slow.")
    ] = False,
    harmonize: _Harmonize = "",
    keep: Annotated[
        list[str] | None, typer.Option(help="Column that ComBat leaves in; may be repeated.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads of --again.")] = None,
) -> None:
    """Write slides x metrics and patients x metrics: Parquet, xlsx and, with anndata, h5ad."""
    from histome.cohort.answers.making import make_tables

    options: dict[str, Any] = {"tokens": tokens, "again": again, "harmonized": harmonize, "keep": keep or ()}
    made = make_tables(out, **options, workers=workers, progress=console.say)
    for path in made:
        console.say(f"{path}")


def sql(
    out: _Out,
    query: Annotated[str, typer.Argument(help="Of the tables cells, numbers and slides.")],
    to: Annotated[Path | None, typer.Option(help="Write the answer here: .csv or .parquet.")] = None,
) -> None:
    """Ask all cells of all slides by SQL (DuckDB); nothing but the cohort can be read."""
    from histome.cohort.answers.tables.sql import ask_sql, write_result
    from histome.cohort.manifest import MANIFEST_NAME
    from histome.store.ownership import refuse_overwriting

    if to is not None:
        refuse_overwriting(to, out / MANIFEST_NAME)
    answer = ask_sql(out, query)
    if to is not None:
        write_result(answer, to)
        console.say(f"{len(answer):,} rows in {to}")
        return
    console.print_result("\t".join(answer.column_names))
    for batch_ in answer.to_batches():
        for row in batch_.to_pylist():
            console.print_result("\t".join("" if value is None else str(value) for value in row.values()))


def compare(
    out: _Out,
    by: Annotated[str, typer.Option(help="Column of manifest.csv with the groups.")],
    to: _To = None,
    each: _Each = "patient",
    metric: _Metrics = None,
    covariate: _Covariates = None,
    harmonize: _Harmonize = "",
    seed: _Seed = 0,
) -> None:
    """Compare groups: rank tests, effects with intervals, a mixed model by patient, discoveries."""
    from histome.cohort.answers import asking

    asked = _asked(each, metric, by=by, covariates=tuple(covariate or ()), harmonized=harmonize, seed=seed)
    _write(out, to, f"Groups of {by}", asking.compare(asked.read(out), asked))


def immune(
    out: _Out,
    to: _To = None,
    each: _Each = "patient",
    by: _By = "",
    tumor_per_mm2: Annotated[
        float,
        typer.Option(help="Lymphocytes and plasma cells per mm2 of carcinoma from which it is inflamed."),
    ] = 250.0,
    stroma_per_mm2: Annotated[
        float, typer.Option(help="The same of stroma, from which it is excluded, not desert.")
    ] = 250.0,
) -> None:
    """Tell inflamed, excluded and desert tumors by stated cut-offs."""
    from histome.cohort.answers import asking

    cut_offs = {"tumor_per_mm2": tumor_per_mm2, "stroma_per_mm2": stroma_per_mm2}
    asked = _asked(each, None, by=by)
    _write(out, to, "Immune phenotypes", asking.immune(asked.read(out), asked, **cut_offs))


def survival(
    out: _Out,
    time: _Time,
    event: _Event,
    to: _To = None,
    each: _Each = "patient",
    by: _By = "",
    metric: _Metrics = None,
    covariate: _Covariates = None,
    harmonize: _Harmonize = "",
    seed: _Seed = 0,
) -> None:
    """Survival: Kaplan-Meier, log-rank, Cox models with their assumptions checked."""
    from histome.cohort.answers import asking

    options: dict[str, Any] = {"time": time, "event": event, "by": by, "harmonized": harmonize, "seed": seed}
    asked = _asked(each, metric, **options, covariates=tuple(covariate or ()))
    _write(out, to, "Survival", asking.survival(asked.read(out), asked))


def batch(
    out: _Out,
    batch: _Batch,
    to: _To = None,
    each: _Each = "patient",
    by: _By = "",
    metric: _Metrics = None,
    seed: _Seed = 0,
) -> None:
    """Ask whether the scanner or center can be told from the numbers, and which numbers are robust."""
    from histome.cohort.answers import asking

    asked = _asked(each, metric, batch=batch, by=by, seed=seed)
    _write(out, to, f"Batches of {batch}", asking.batch(asked.read(out), asked))


def clusters(
    out: _Out,
    to: _To = None,
    each: _Each = "patient",
    metric: _Metrics = None,
    harmonize: _Harmonize = "",
    seed: _Seed = 0,
) -> None:
    """Find kinds of tumors, if there are more than one cloud would give."""
    from histome.cohort.answers import asking

    asked = _asked(each, metric, harmonized=harmonize, seed=seed)
    _write(out, to, "Clusters", asking.clusters(asked.read(out), asked))


def outliers(out: _Out, to: _To = None, metric: _Metrics = None) -> None:
    """Find slides that are unlike the others."""
    from histome.cohort.answers import asking

    asked = _asked("slide", metric)
    _write(out, to, "Outliers", asking.outliers(asked.read(out), asked))


def report(
    out: _Out,
    to: _To = None,
    each: _Each = "patient",
    by: _By = "",
    time: _Time = "",
    event: _Event = "",
    batch: _Batch = "",
    metric: _Metrics = None,
    covariate: _Covariates = None,
    harmonize: _Harmonize = "",
    title: Annotated[str, typer.Option(help="Of the page.")] = "Answers from a cohort",
    seed: _Seed = 0,
) -> None:
    """Write all answers on one page, in plain words."""
    from histome.cohort.answers import asking
    from histome.cohort.answers.page.pages import write_answers

    columns = {"by": by, "time": time, "event": event, "batch": batch, "harmonized": harmonize}
    asked = _asked(each, metric, **columns, covariates=tuple(covariate or ()), seed=seed)
    lead, answers = asking.everything(asked.read(out), asked)
    console.say(f"{write_answers(to or out / 'answers', title, answers, lead=lead)}")


def publish(
    out: _Out,
    to: Annotated[Path, typer.Argument(metavar="DEST", help="New folder for the data set.")],
    license_id: Annotated[
        str,
        typer.Option("--license", help="Of the data: CC-BY-NC-SA-4.0, or another that the weights allow."),
    ],
    title: Annotated[str, typer.Option(help="Of the data card.")] = "The tumor microenvironment of a cohort",
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Column of manifest.csv that goes out; may be repeated."),
    ] = None,
) -> None:
    """Write the cohort as a data set for others: tables, maps, cells, a data card, checksums, no names."""
    from histome.cohort.answers import publish_cohort

    made = publish_cohort(out, to, license_id=license_id, title=title, columns=columns or ())
    console.say(f"{made}; which slide is which stands in {out / 'answers' / 'publish_key.csv'}: keep it here")


def reference(
    out: _Out,
    to: Annotated[Path, typer.Option("--out", "-o", help="The file, .parquet.")] = Path("reference.parquet"),
    each: _Each = "slide",
) -> None:
    """Write quantiles of every metric by organ, which later reports show ([report] reference)."""
    from histome.cohort.answers import write_reference
    from histome.cohort.manifest import MANIFEST_NAME
    from histome.store.ownership import refuse_overwriting

    refuse_overwriting(to, out / MANIFEST_NAME)
    made = write_reference(_asked(each, None).read(out).ones, to)
    organs = ", ".join(dict.fromkeys(made["organ"].to_pylist()))
    console.say(f"{to}: {len(made):,} ranges of {organs}")


def _asked(each: str, metrics: Sequence[str] | None, **options: Any) -> Any:
    from histome.cohort.answers.asking import Asked

    return Asked(each, tuple(metrics or ("core",)), **options)


def _write(out: Path, to: Path | None, title: str, answers: "Sequence[Answer]") -> None:
    """Write a question's own page and print what it says first."""
    from histome.cohort.answers.page.pages import write_answers

    folder = to or out / "answers" / answers[0].name
    page = write_answers(folder, title, answers)
    for answer in answers:
        console.print_result(f"{answer.title} {answer.said[0]}")
    console.say(f"{page}")


_EXAMPLES = {
    table: ("cohort table out", "cohort table out --tokens 500um --again"),
    sql: ('cohort sql out "SELECT slide, class, count(*) FROM cells GROUP BY ALL" --to counts.csv',),
    compare: ("cohort compare out --by arm", "cohort compare out --by arm --metric all --covariate center"),
    immune: ("cohort immune out --by arm",),
    survival: ("cohort survival out --time months --event died",),
    batch: ("cohort batch out --batch scanner --by arm",),
    clusters: ("cohort clusters out",),
    outliers: ("cohort outliers out",),
    report: ("cohort report out --by arm --time months --event died --batch scanner",),
    publish: ("cohort publish out dataset --license CC-BY-NC-SA-4.0 --column arm",),
    reference: ("cohort reference out -o breast.parquet",),
}


def add_answers(group: typer.Typer) -> None:
    """Add the commands to a group."""
    for command, lines in _EXAMPLES.items():
        group.command(epilog=console.examples(*lines))(command)
