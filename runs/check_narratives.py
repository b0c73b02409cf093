"""The grounded text of profiles that are there, checked: `python runs/check_narratives.py FOLDER ...`.

A folder is a profile (`histome profile ... -o out` writes out/NAME) or holds profiles. Prints each text with
what the verifier does not support, which should be nothing, and how many sentences of how many profiles;
profiles without metrics (refused as no H&E, out of focus) are counted.
"""

import sys
from pathlib import Path

from histome.errors import MissingPartError
from histome.metrics import MetricTable
from histome.narrative import Facts, verify
from histome.narrative.writers import grounded_sentences
from histome.store.profile import load_profile


def main(folders: list[str]) -> None:
    """Print the texts of all profiles in the folders, and the count."""
    profiles = sentences = faults = without = 0
    for run in sorted({path.parent for folder in folders for path in Path(folder).rglob("run.json")}):
        try:
            facts = Facts.of_slide(MetricTable(load_profile(run).metrics), {})
        except MissingPartError:
            without += 1
            continue
        texts = [sentence.text for sentence in grounded_sentences(facts)]
        print(f"\n{run.name}: {' '.join(texts)}")
        for one in verify("\n".join(texts), facts).unsupported:
            print(f"    {one.state}: {one.text} ({one.reason})")
            faults += 1
        profiles, sentences = profiles + 1, sentences + len(texts)
    print(f"\n{profiles} profiles, {sentences} sentences, {faults} not supported; {without} without metrics")


if __name__ == "__main__":
    main(sys.argv[1:])
