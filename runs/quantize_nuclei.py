"""Make `nuclei-int8` of the shipped `nuclei`: 8-bit weights and activations, behind an accuracy gate.

    python runs/quantize_nuclei.py --data ../shared/data

Ranges come from training fields. It is kept only if on the tuning sources no figure falls out of its own 95 %
interval; the held-out figures are printed then and written into its card. Used by
`histome profile slide.svs -o out --cells-model runs/out/nuclei-int8`.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tomli_w
from evaluate_nuclei import SHOWN, ZOO, rounded, score_all, score_tables, short
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from train_nuclei import load_split

from histome.datasets.fields import Field
from histome.models.card import Card, load_card
from histome.models.reference import reference_window, summarize
from histome.models.runtime import Network

INT8 = Path("runs/out/nuclei-int8")
WINDOWS = 12


class Windows(CalibrationDataReader):
    """Training fields filled up to the window by repeating them, evenly over the data sets."""

    def __init__(self, fields: Sequence[Field], card: Card) -> None:
        outlined = [field for field in fields if field.shapes]
        side = card.window_px
        chosen = outlined[:: max(1, len(outlined) // WINDOWS)]
        grown = ((0, side), (0, side), (0, 0))
        self._windows = iter([np.pad(f.image, grown, mode="wrap")[None, :side, :side] for f in chosen])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next window, or None after the last."""
        window = next(self._windows, None)
        return None if window is None else {"image": np.ascontiguousarray(window)}


def quantize(card: Card, fields: Sequence[Field], out: Path) -> None:
    """Write the 8-bit network: per-channel weights; heads and everything between in 8 bits."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(card.weights_path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(out),
            Windows(fields, card),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Concat", "Resize"],
        )


def falls(before: dict, after: dict) -> list[str]:
    """Figures that fell out of their interval."""
    lines = []
    for name, table in before.items():
        for figure in SHOWN:
            if figure in table:
                was, now = table[figure], after[name][figure]["value"]
                if now < was["low"]:
                    lines.append(f"{name} {figure}: {was['value']} -> {now}")
    return lines


def main() -> int:
    """Quantize, gate, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    split = load_split(args.data)
    card = load_card(ZOO)
    INT8.mkdir(parents=True, exist_ok=True)
    quantize(card, split.train, INT8 / "model.onnx")
    sha256 = hashlib.sha256((INT8 / "model.onnx").read_bytes()).hexdigest()
    description = "nuclei in 8-bit numbers: smaller and faster on CPUs with VNNI or AMX"
    small = card.model_copy(update={"name": "nuclei-int8", "sha256": sha256, "description": description})
    networks = [Network(card, precision="f32"), Network(small.at(INT8), precision="f32")]
    tuning = [score_tables(score_all(split.tuning, args.data, network)) for network in networks]
    if lines := falls(*tuning):
        shutil.rmtree(INT8)
        print("not kept:", *lines, sep="\n")
        return 1
    held_out = score_all(split.held_out, args.data, networks[1])
    scores = {"held_out": score_tables(held_out), "tuning": tuning[1], "interval": card.scores["interval"]}
    reference = summarize(networks[1](reference_window(card)))
    small = small.model_copy(update={"scores": rounded(scores), "reference": reference})
    (INT8 / "card.toml").write_text(tomli_w.dumps(small.model_dump(exclude_none=True)), encoding="utf-8")
    print("int8, held out:", short(held_out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
