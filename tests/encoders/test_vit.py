"""Encoders of timm: what is asked for is what is made, and a missing timm is one line."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="encoders are networks")

from histome import encoders
from histome.encoders import UNI2_H, timm_encoder
from histome.errors import UsageError


def test_the_arguments_of_uni2_h_are_those_of_its_card():
    assert (UNI2_H["depth"], UNI2_H["num_heads"], UNI2_H["patch_size"]) == (24, 24, 14)
    assert (UNI2_H["embed_dim"], UNI2_H["reg_tokens"]) == (1536, 8)
    assert round(UNI2_H["mlp_ratio"], 2) == 5.33


def test_layers_are_given_by_name():
    try:
        encoder = timm_encoder(
            model_name="vit_tiny_patch16_224", depth=2, embed_dim=32, num_heads=2, act_layer="SiLU"
        )
    except UsageError as error:
        pytest.skip(str(error))
    assert any(isinstance(layer, torch.nn.SiLU) for layer in encoder.modules())


def test_a_missing_timm_is_one_line_with_a_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"install histome\[vit\]"):
        timm_encoder(model_name="vit_tiny_patch16_224")


def test_the_face_has_its_names_and_imports_no_torch():
    assert all(hasattr(encoders, name) for name in encoders.__all__)
    code = "import sys, histome.encoders; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
