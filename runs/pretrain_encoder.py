"""Pretrain the plain encoder without labels, top to bottom; run again to resume.

    python runs/pretrain_encoder.py --data ../shared/data --out runs/out/encoder

Fields that the nuclei and tissue models are scored on are left out; with `--all` they are not. The probes of
the encoder untrained and of a histogram of colors are in baselines.csv, those of the training in log.csv.
`--export FILE` writes the averaged encoder of the last checkpoint as half precision safetensors, trained to
the end or not; `--tiles FOLDER` writes it as an encoder of tiles (ONNX and its card) for `histome embed`
and `histome encoders`, `--untrained` as it began.
"""

import argparse
from pathlib import Path

import torch

from histome.training.encoders.export import export_tile_encoder
from histome.training.encoders.network import PlainEncoder
from histome.training.encoders.packed import load_packed
from histome.training.encoders.probe import Probes
from histome.training.encoders.train import (
    PretrainRecipe,
    TermWeights,
    export_encoder,
    load_encoder,
    pretrain,
)
from histome.training.loop import log_row


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/encoder"))
    parser.add_argument("--cache", type=Path, help="packed pixels; by default OUT/cache")
    parser.add_argument("--steps", type=int, default=PretrainRecipe.steps)
    parser.add_argument("--pooled", type=float, default=TermWeights.pooled, help="weight of the pooled term")
    parser.add_argument("--spread", type=float, default=TermWeights.spread, help="weight of its KoLeo term")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--all", action="store_true", help="held-out fields too")
    parser.add_argument("--export", type=Path)
    parser.add_argument("--tiles", type=Path, help="folder for encoder.onnx and encoder.toml")
    parser.add_argument("--untrained", action="store_true", help="of --tiles: the encoder before any step")
    return parser.parse_args()


def log_baselines(path: Path, probes: Probes) -> None:
    """The probes of what needs no training."""
    torch.manual_seed(PretrainRecipe.seed)
    log_row(path, {"features": "colors"} | probes.of_colors())
    log_row(path, {"features": "untrained"} | probes(PlainEncoder().eval()))


def write_tiles(args: argparse.Namespace) -> None:
    """The encoder of the last checkpoint, or the untrained one, as an encoder of tiles."""
    torch.manual_seed(PretrainRecipe.seed)
    encoder = PlainEncoder().eval() if args.untrained else load_encoder(args.out)
    name = "histome-plain-untrained" if args.untrained else "histome-plain"
    about = "PlainEncoder of 3x3 convolutions, means of its maps of strides 8 to 32."
    print(export_tile_encoder(encoder, args.tiles, name=name, about=about))


def main() -> None:
    """Export, or pack, score the baselines, train."""
    args = arguments()
    if args.export:
        export_encoder(args.out, args.export)
        return
    if args.tiles:
        write_tiles(args)
        return
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    fields = load_packed(args.data, args.cache or args.out / "cache", every=args.all)
    print(f"{len(fields)} fields, {sum(f.image.size for f in fields) / 3e6:.0f} Mpx", flush=True)
    probes = Probes(args.data)
    if not (args.out / "baselines.csv").exists():
        log_baselines(args.out / "baselines.csv", probes)
    weights = TermWeights(pooled=args.pooled, spread=args.spread)
    pretrain(
        PretrainRecipe(steps=args.steps, weights=weights), fields, args.out, device=args.device, probe=probes
    )


if __name__ == "__main__":
    main()
