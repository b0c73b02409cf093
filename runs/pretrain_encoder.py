"""Pretrain an encoder without labels on the fields of the data folder, top to bottom; run again to resume.

    python runs/pretrain_encoder.py --data ../shared/data --out runs/out/histome-vit-tiny

What `histome train encoder` does, on the fields that the nuclei and tissue models are not scored on; with
`--all` on these too. Then: histome encoders compare -e runs/out/histome-vit-tiny/encoder.toml --tasks
runs/encoder_tasks.toml --data ../shared/data -o comparison.
"""

import argparse
from pathlib import Path

from histome.datasets.declaration import DataSet
from histome.datasets.declared import of_row
from histome.datasets.fields import IMAGE_MPP, read_rows
from histome.datasets.splits import part_of
from histome.datasets.tissue_fields import FOLDERS, load_tissue_fields
from histome.training.encoders import PretrainRecipe, TileSource, pretrain


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/histome-vit-tiny"))
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--method", default="dinov2", choices=("dino", "dinov2"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=PretrainRecipe.side_px, help="px of the large views")
    parser.add_argument("--device")
    parser.add_argument("--all", action="store_true", help="held-out fields too")
    return parser.parse_args()


def sources(data: Path, *, every: bool) -> list[TileSource]:
    """Every image of every folder with an images.csv, less those that scores are reported on."""
    folders = tuple(name for name in FOLDERS if (data / name / "images.csv").exists())
    scored = {field.name for field in load_tissue_fields(data, folders) if field.part == "held-out"}
    found = []
    for table in sorted(data.glob("*/images.csv")):
        for row in read_rows(table):
            about = of_row(table.parent.name, row) or DataSet(name=table.parent.name)
            held_out = part_of(about.name, about.source_of(row)) == "held-out" or row["image"] in scored
            mpp = float(row["mpp"] or about.sets.get(row.get("set", "")) or IMAGE_MPP)
            if every or not held_out:
                found.append(TileSource(table.parent / row["file"], mpp, about.name))
    return found


def main() -> None:
    """List the fields, train, export."""
    args = arguments()
    found = sources(args.data, every=args.all)
    folders = {source.folder for source in found}
    print(f"{len(found)} fields of {len(folders)} data sets", flush=True)
    shown = {"side_px": args.side, "local_px": max(32, args.side * 3 // 7 // 16 * 16)}
    recipe = PretrainRecipe(
        steps=args.steps, method=args.method, model=args.model, batch=args.batch, locals_each=4, **shown
    )
    print(pretrain(found, args.out, recipe, device=args.device))


if __name__ == "__main__":
    main()
