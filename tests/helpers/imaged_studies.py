"""Reader studies with pictures: drawn H&E fields, each restained in three rounds, and raters who look."""

from types import SimpleNamespace

import numpy as np
import shapely
from helpers.cells import cell_table
from helpers.restained import Bend, restained_round
from helpers.studies import MODEL_RIGHT, RIGHT, fill_in, said_of
from PIL import Image

import histome
from histome.phantom import draw_phantom

MPP = 0.5
ROUNDS = {"ck": ("carcinoma_cell",), "cd3": ("lymphocyte",), "cd138": ("plasma_cell",)}
LABELS = ("carcinoma_cell", "lymphocyte", "other", "plasma_cell")
PANEL = "".join(
    f'[markers.{name}]\nstain = "{name}"\n[classes.{classes[0]}]\npositive = ["{name}"]\n'
    for name, classes in ROUNDS.items()
)


def draw_study(folder, n, side_px, first=0):
    """Draw n fields and their rounds, bent by 4 um, turned, mirrored; return name -> loaded profile."""
    rows, profiles = [], {}
    for k in range(first, first + n):
        name, rng = f"field{k}", np.random.default_rng(100 + k)
        truth = draw_phantom(
            folder / f"{name}.tif",
            size_px=(side_px,) * 2,
            mpp=MPP,
            rng=rng,
            tissue_share=0.9,
            artifacts=False,
        )
        with histome.open_slide(folder / f"{name}.tif") as slide:
            rgb = slide.read(0, 0, size=(side_px, side_px))
        for j, (stain, classes) in enumerate(ROUNDS.items()):
            bend = Bend(side_px, 4 / MPP, seed=10 * k + j, turns=(k + j) % 4, mirror=bool(j % 2))
            ihc = bend.picture(restained_round(rgb, truth, classes, MPP, seed=j))
            Image.fromarray(ihc).save(folder / f"{name}_{stain}.png")
        rows.append(",".join([name, f"{name}.tif", *(f"{name}_{stain}.png" for stain in ROUNDS)]))
        profiles[name] = _profile(truth, name, side_px, rng)
    (folder / "stains.csv").write_text("\n".join([",".join(["slide", "he", *ROUNDS]), *rows]))
    (folder / "slides.csv").write_text(
        "\n".join(
            [
                "slide,organ",
                *(f"{name},{('colon', 'lung', 'bladder')[k % 3]}" for k, name in enumerate(profiles)),
            ]
        )
    )
    (folder / "panel.toml").write_text(PANEL)
    return profiles


def _profile(truth, name, side_px, rng):
    """Every nucleus was found; the model says its class with a known chance."""
    cells = truth.cells
    true = np.array([LABELS.index(c if c in LABELS else "other") for c in cells.classes])
    said = [LABELS[k] for k in said_of(true, MODEL_RIGHT, rng, len(LABELS))]
    outlines = shapely.to_wkb(shapely.polygons(cells.polygons_px.astype(float)))
    columns = {"cell_id": np.arange(len(cells)), "confidence": rng.uniform(0.3, 1, len(cells)), "true": true}
    table = cell_table(cells.x_px * MPP, cells.y_px * MPP, said, **columns, geometry=outlines)
    slide = {"id": name, "size_px": [side_px, side_px], "mpp": {"x": MPP, "y": MPP}}
    return SimpleNamespace(cells=table, run={"slide": slide})


def answer_all(study, profiles, rng):
    """Fill in every rater's files by their chance to be right; return cell -> what it truly is."""
    true = {
        f"{name}/{i}": t for name, p in profiles.items() for i, t in enumerate(p.cells["true"].to_pylist())
    }
    for path in sorted(study.glob("raters/*/*/*.geojson")):
        right = RIGHT[path.parent.name]
        codes = said_of(np.array(list(true.values())), right, rng, len(LABELS))
        said = {name: LABELS[code] for name, code in zip(true, codes, strict=True)}
        fill_in(path, said.get)
    return true
