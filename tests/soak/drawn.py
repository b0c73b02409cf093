"""A drawn slide, models of a few weights and the settings that name them: a profile takes a second."""

from pathlib import Path

from helpers.phantoms import small_phantom
from helpers.tiny_models import dark_detector, segmenter_model


def draw_case(folder: Path, *, size_px: tuple[int, int] = (1200, 1000), seed: int = 1) -> list[str]:
    """Draw into a folder, unless it is there, and return the words of a command line but its -o."""
    folder = folder.resolve()
    slide, toml = folder / f"drawn{seed}.tif", folder / "settings.toml"
    if not slide.exists():
        folder.mkdir(parents=True, exist_ok=True)
        small_phantom(slide, seed=seed, size_px=size_px, tissue_share=0.8)
        segmenter_model(folder / "tiny-tissue")
        # Cores of 48 px: more windows than one part of a checkpoint holds.
        dark_detector(folder / "tiny-nuclei", window_px=64)
        toml.write_text(
            f'[tissue]\nmodel = "{folder / "tiny-tissue"}"\n[cells]\nmodel = "{folder / "tiny-nuclei"}"\n'
        )
    return ["profile", str(slide), "--config", str(toml)]
