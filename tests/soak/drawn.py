"""A drawn slide, models of a few weights and the settings that name them: a profile takes a second."""

from pathlib import Path

from helpers.phantoms import small_phantom
from helpers.tiny_models import tiny_settings


def draw_case(folder: Path, *, size_px: tuple[int, int] = (1200, 1000), seed: int = 1) -> list[str]:
    """Draw into a folder, unless it is there, and return the words of a command line but its -o."""
    folder = folder.resolve()
    slide = folder / f"drawn{seed}.tif"
    if not slide.exists():
        folder.mkdir(parents=True, exist_ok=True)
        small_phantom(slide, seed=seed, size_px=size_px, tissue_share=0.8)
        # Cores of 48 px: more windows than one part of a checkpoint holds.
        tiny_settings(folder, dark=True)
    return ["profile", str(slide), "--config", str(folder / "settings.toml")]
