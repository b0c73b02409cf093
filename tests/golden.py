"""Make three profiles and print a checksum of every file in them: what a change of structure must not change.

    python tests/golden.py OUT > before.txt      at one commit
    python tests/golden.py OUT --against before.txt      at another: prints what differs, exit 1

The drawn slide of `make demo`, CMU-1 and `histome metrics run` on the cells of hgsc_cells (the last two where
../shared/data has them). run.json and the keys of stages hold dates, times and the code's version, so
they are left out, and struck out of the report. To be run on one machine: networks round otherwise
on another.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LEFT_OUT = {"run.json", "stage.json", "phantom.tif"}
# The words of hgsc_cells -> ours.
CLASSES = """[cells]
neoplastic = "carcinoma_cell"
connective = "fibroblast"
inflammatory = "lymphocyte"
macrophage_cell = "macrophage"
macrophage_nucleus = "macrophage"
dead = "other"
[tissue]
stroma = "STROMA"
tumor = "CARCINOMA"
omental_fat = "OTHER"
hemorragia = "BLOOD"
necrosis = "NECROSIS"
serum = "OTHER"
"""
# The version of the code, when the run started, and the seconds of each stage.
CHANGING = re.compile(
    rb"\d+\.\d+\.\d+[\w.]*\+[0-9a-f]{12}|<dt>Started</dt><dd>[^<]*"
    rb'|<th scope="row">(?:qc|tissue|cells|metrics|narrative|report)</th><td class="num">[^<]*'
)


def checksum(path: Path) -> str:
    """Return the sha256 of a file, less what changes from run to run."""
    return hashlib.sha256(CHANGING.sub(b"", path.read_bytes())).hexdigest()


def checksums(out: Path) -> list[str]:
    """Return a line a file, sorted."""
    files = (p for p in out.rglob("*") if p.is_file() and p.name not in LEFT_OUT and p.name[0] != ".")
    return sorted(f"{checksum(p)}  {p.relative_to(out).as_posix()}" for p in files)


def make(out: Path) -> None:
    """Run histome into `out`."""
    commands = [["demo", "-o", f"{out}/demo"]]
    if DATA.exists():
        hgsc = DATA / "hgsc_cells"
        cells, tissue = hgsc / "hgsc_nuclei_wsi.parquet", hgsc / "hgsc_tissue_wsi.parquet"
        out.mkdir(parents=True, exist_ok=True)
        (out / "classes.toml").write_text(CLASSES)
        given = ["--cells", f"{cells}", "--tissue", f"{tissue}", "--classes", f"{out}/classes.toml"]
        commands += [
            ["profile", f"{DATA}/slides/CMU-1-Small-Region.svs", "-o", f"{out}"],
            ["metrics", "run", *given, "--mpp", "0.5", "--out", f"{out}/hgsc"],
        ]
    for command in commands:
        subprocess.run([sys.executable, "-m", "histome", *command], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Make, then print or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    args = parser.parse_args()
    make(args.out)
    lines = checksums(args.out)
    if args.against is None:
        print("\n".join(lines))
        return
    differing = sorted(set(lines) ^ set(args.against.read_text().splitlines()))
    print("\n".join(differing) or f"all {len(lines)} files are the same")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
