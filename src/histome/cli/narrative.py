"""histome narrative: a profile in words, and what each sentence rests on."""

from pathlib import Path
from typing import Annotated

import typer

from histome.cli import console


def narrative(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Folder that histome profile wrote.")],
    sources: Annotated[
        bool, typer.Option("--sources/--no-sources", help="Print what each sentence rests on.")
    ] = True,
) -> None:
    """Print a profile's narrative, each sentence with the metrics it rests on. For research use only.

    Of a language model's text stderr has the counts of the verifier and what is not shown, with the reasons.
    """
    from histome.narrative.sentences import Narrative
    from histome.store.profile import load_profile

    found = Narrative.from_json(load_profile(profile).narrative)
    if found.note:
        console.warn(found.note)
    if found.asked != "grounded" and found.hallucination_rate is not None:
        console.warn(
            f"of {found.supported + found.contradicted + found.not_checkable} sentences {found.supported} "
            f"supported, {found.contradicted} contradicted, {found.not_checkable} not checkable"
        )
    for dropped in found.dropped:
        console.warn(f'not shown: "{dropped.text}" ({dropped.reason})')
    for sentence in found.sentences:
        console.print_result(sentence.text)
        for source in sentence.sources if sources else ():
            console.print_result(f"    {source.name} = {source.value} {source.unit}".rstrip())
