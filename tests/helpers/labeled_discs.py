"""A folder of labels of one's own: drawn discs with types, one field a patient."""

from pathlib import Path

import numpy as np
from PIL import Image

TYPES_OF_DISCS = ("lymphocyte", "plasma_cell", "fibroblast")


def labeled_discs(root: Path, patients: int = 5, labels: tuple[str, ...] = TYPES_OF_DISCS) -> Path:
    """Fields of 120 px at 0.5 um/px with dark discs, one a patient, in our own layout."""
    rng = np.random.default_rng(1)
    for folder in ("images", "instances"):
        (root / folder).mkdir(parents=True)
    images, nuclei = ["image,file,instances,source,mpp"], ["image,instance,x_px,y_px,label"]
    yy, xx = np.mgrid[:120, :120]
    for k in range(patients):
        rgb = np.full((120, 120, 3), (230, 200, 220), np.uint8)
        instances = np.zeros((120, 120), np.uint16)
        for n, (x, y) in enumerate(rng.uniform(8, 112, (12, 2)), start=1):
            inside = (xx - x) ** 2 + (yy - y) ** 2 < 36
            instances[inside], rgb[inside] = n, (90, 60, 130)
            nuclei.append(f"f{k},{n},{x:.1f},{y:.1f},{labels[n % len(labels)]}")
        Image.fromarray(rgb).save(root / f"images/f{k}.png")
        Image.fromarray(instances).save(root / f"instances/f{k}.png")
        images.append(f"f{k},images/f{k}.png,instances/f{k}.png,patient {k},0.5")
    (root / "images.csv").write_text("\n".join(images) + "\n")
    (root / "nuclei.csv").write_text("\n".join(nuclei) + "\n")
    return root
