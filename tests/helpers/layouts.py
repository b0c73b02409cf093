"""Small made copies of published data sets, as their folders are laid out."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

PINK = (230, 190, 210)


def pink(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PINK, np.uint8)


def save_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def make_pannuke(root: Path) -> Path:
    """One fold of two patches: two neoplastic nuclei and one inflammatory; an empty one."""
    images = root / "Fold 1/images/fold1"
    masks_folder = root / "Fold 1/masks/fold1"
    images.mkdir(parents=True)
    masks_folder.mkdir(parents=True)
    masks = np.zeros((2, 256, 256, 6))
    masks[0, 10:30, 10:30, 0] = 7
    masks[0, 50:70, 50:80, 0] = 3
    masks[0, 100:110, 100:110, 1] = 7
    masks[..., 5] = masks[..., :5].sum(-1) == 0
    np.save(images / "images.npy", np.full((2, 256, 256, 3), 200.0))
    np.save(images / "types.npy", np.array(["Breast", "Bile-duct"]))
    np.save(masks_folder / "masks.npy", masks)
    return root


def make_cryonuseg(root: Path) -> Path:
    """One frozen section, marked by two people: two nuclei by the biologist, one by the other."""
    save_png(root / "tissue images/Human_Skin_01.tif", pink(64, 64))
    for rater, boxes in (("Annotator 1 (biologist)", (10, 40)), ("Annotator 2 (bioinformatician)", (10,))):
        labels = np.zeros((64, 64), np.uint16)
        for number, at in enumerate(boxes, start=3):
            labels[at : at + 12, at : at + 12] = number
        save_png(root / rater / rater / "label masks modify/Human_Skin_01.tif", labels)
    return root


def make_conic(root: Path) -> Path:
    """Two patches of one region: a plasma cell and an eosinophil; a connective nucleus."""
    root.mkdir(parents=True, exist_ok=True)
    labels = np.zeros((2, 256, 256, 2), np.uint16)
    for patch, box, number, code in ((0, 20, 1, 4), (0, 60, 2, 5), (1, 20, 1, 6)):
        labels[patch, box : box + 12, box : box + 12] = (number, code)
    np.save(root / "labels.npy", labels)
    np.save(root / "images.npy", np.full((2, 256, 256, 3), 200, np.uint8))
    (root / "patch_info.csv").write_text("patch_info\nconsep_1-0000\nconsep_1-0001\n")
    return root


def make_lizard(root: Path, codes: tuple[int, ...] = (1, 4)) -> Path:
    """One region with two nuclei, numbered 5 and 9."""
    inst = np.zeros((80, 100), np.int32)
    inst[10:20, 10:20] = 5
    inst[40:60, 50:60] = 9
    labels = root / "Lizard_Labels/Labels"
    labels.mkdir(parents=True)
    keys = {"inst_map": inst, "id": np.array([[5], [9]]), "class": np.array(codes)[:, None]}
    savemat(labels / "glas_1.mat", {**keys, "centroid": np.zeros((2, 2)), "bbox": np.zeros((2, 4))})
    save_png(root / "Lizard_Images1/glas_1.png", pink(80, 100))
    save_png(root / "Overlay/glas_1.png", pink(40, 40))
    return root


NUCLS_NAME = "TCGA-A1-A0SP-DX1_id-5ea4_left-7053_top-53967_bottom-54231_right-7311"
NUCLS_CSV = (
    ",raw_classification,main_classification,super_classification,type,xmin,ymin,xmax,ymax,coords_x,coords_y\n"
    '0,plasma_cell,plasma_cell,sTIL,polyline,10,10,30,30,"10,30,30,10","10,10,30,30"\n'
    "1,tumor,tumor_nonMitotic,tumor,rectangle,50,40,90,60,,\n"
)


def make_nucls(root: Path, table: str = NUCLS_CSV) -> Path:
    """One field of 120 x 100 px whose last 20 columns lie outside the intended region."""
    save_png(root / f"rgb/{NUCLS_NAME}.png", pink(100, 120))
    (root / "csv").mkdir()
    (root / f"csv/{NUCLS_NAME}.csv").write_text(table)
    (root / "csv/all_fov_locations.csv").write_text("fovname,xmin\n")
    mask = np.zeros((100, 120, 3), np.uint8)
    mask[:, :100, 0] = 253
    save_png(root / f"mask/{NUCLS_NAME}.png", mask)
    return root


def make_puma(root: Path, label: str = "nuclei_histiocyte") -> Path:
    """One region with a tumor nucleus, and another in two parts."""
    tif = root / "01_training_dataset_tif_ROIs/training_set_metastatic_roi_001.tif"
    save_png(tif, np.dstack([pink(128, 128), np.full((128, 128), 255, np.uint8)]))
    square = [[20, 20], [40, 20], [40, 40], [20, 40], [20, 20]]
    parts = [[[[x + 50, y] for x, y in square]], [[[x + 50, y + 50] for x, y in square]]]
    features = [
        feature("nuclei_tumor", {"type": "Polygon", "coordinates": [square]}),
        feature(label, {"type": "MultiPolygon", "coordinates": parts}),
    ]
    folder = root / "01_training_dataset_geojson_nuclei"
    folder.mkdir()
    text = json.dumps({"type": "FeatureCollection", "features": features})
    (folder / "training_set_metastatic_roi_001_nuclei.geojson").write_text(text)
    return root


def feature(label: str, geometry: dict) -> dict:
    properties = {"objectType": "annotation", "classification": {"name": label, "color": [200, 0, 0]}}
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


def make_monusac(root: Path, classes: tuple[str, ...] = ("Epithelial", "Macrophage", "Ambiguous")) -> Path:
    """One crop; a square nucleus a class, 20 px wide, 40 px apart."""
    folder = root / "TCGA-5P-A9K0-01Z-00-DX1"
    save_png(folder / "TCGA-5P-A9K0-01Z-00-DX1_1.tif", pink(120, 160))
    text = '<Annotations MicronsPerPixel="0.200000">'
    for k, name in enumerate(classes):
        x = 10 + 40 * k
        corners = [(x, 20), (x + 20, 20), (x + 20, 40), (x, 40)]
        vertices = "".join(f'<Vertex X="{a}" Y="{b}" Z="0"/>' for a, b in corners)
        text += (
            f'<Annotation Id="{k}" Name=""><Attributes><Attribute Name="{name}"/></Attributes>'
            f'<Regions><Region Id="1"><Attributes/><Vertices>{vertices}</Vertices></Region></Regions>'
            "</Annotation>"
        )
    (folder / "TCGA-5P-A9K0-01Z-00-DX1_1.xml").write_text(text + "</Annotations>")
    return root
