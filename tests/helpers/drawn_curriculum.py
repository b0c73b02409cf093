"""A drawn labeled set, unlabeled images and the settings of a curriculum on them."""

import numpy as np
from helpers.drawn_hover import ellipse
from PIL import Image

SETTINGS = """
[encoder]
width = 16
depth = 4
heads = 2
patch_px = 4
[decoder]
channels = [8, 8, 8, 8]
strides = [2, 4, 8, 16]
hidden = 8
[training]
crop_px = 16
patch_px = 48
batch = 4
learning_rate = 1e-2
every = 10
scored_mpps = [1.0]
[[labeled]]
data_set = "drawn"
folder = "labeled"
tuning = ["p2"]
held_out = ["p3", "p4"]
[[unlabeled]]
folder = "more"
mpp = 0.5
[[stages]]
steps = 20
[[stages]]
steps = 10
keep = 0.5
[[stages]]
steps = 10
mpps = [0.5, 1.0]
"""


def drawn_field(rng, size=48):
    """Pixels and instances of a few nuclei, dark and round (lymphocytes) or pale and large (carcinoma)."""
    labels = np.zeros((size, size), np.int32)
    image = np.full((size, size, 3), (235, 210, 225), np.uint8)
    names = []
    for x, y in ((12, 12), (36, 14), (14, 36), (36, 36)):
        small = rng.random() < 0.5
        inside = ellipse(
            labels.shape, *(np.array([x, y]) + rng.uniform(-2, 2, 2)), *((5, 5) if small else (9, 8))
        )
        labels[inside] = len(names) + 1
        image[inside] = (60, 30, 110) if small else (150, 90, 170)
        names.append("lymphocyte" if small else "carcinoma_cell")
    return image, labels, names


def draw_data(tmp_path):
    """Fill a folder with a drawn labeled set of four sources, unlabeled images, and the settings."""
    rng = np.random.default_rng(0)
    for folder in ("labeled/images", "labeled/instances", "more/images"):
        (tmp_path / folder).mkdir(parents=True)
    rows, nuclei = ["image,file,instances,organ,source,mpp"], ["image,instance,x_px,y_px,label"]
    for k in range(8):
        image, labels, names = drawn_field(rng)
        Image.fromarray(image).save(tmp_path / f"labeled/images/{k}.png")
        Image.fromarray(labels.astype(np.uint16)).save(tmp_path / f"labeled/instances/{k}.png")
        rows.append(f"{k},images/{k}.png,instances/{k}.png,drawn,p{k % 4 + 1},0.5")
        nuclei += [f"{k},{i},0,0,{name}" for i, name in enumerate(names, start=1)]
    (tmp_path / "labeled/images.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "labeled/nuclei.csv").write_text("\n".join(nuclei) + "\n")
    for k in range(6):
        Image.fromarray(drawn_field(rng, 96)[0]).save(tmp_path / f"more/images/{k}.png")
    (tmp_path / "curriculum.toml").write_text(SETTINGS)
    return tmp_path
