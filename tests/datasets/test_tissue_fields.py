"""Tissue fields of made copies of the folders' layouts."""

import numpy as np
import pytest
from PIL import Image

from histome.datasets.tissue_fields import load_tissue_fields, red_cells
from histome.datasets.tissue_labels import CODES
from histome.errors import DataError

# Stains nothing white: eosin, as a byte triple.
PINK = (220, 150, 190)


def write_set(root, head, rows, masks=None):
    (root / "images").mkdir(parents=True)
    (root / "images.csv").write_text("\n".join([head, *rows]) + "\n")
    for row in rows:
        Image.fromarray(np.full((40, 40, 3), PINK, np.uint8)).save(root / row.split(",")[1])
    for name, mask in (masks or {}).items():
        (root / "tissue").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "tissue" / name)
    return root.parent


def half(code):
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = code
    return mask


def names_in(codes):
    names = {code: name for name, code in CODES.items()}
    return {names.get(int(code), "") for code in np.unique(codes)}


def test_an_antibody_says_nothing_of_what_it_leaves(tmp_path):
    head = "image,file,tissue,label,organ,source,mpp"
    rows = [
        "a,images/a.png,tissue/a.png,epithelium,mixed,a,1.0",
        "b,images/b.png,tissue/b.png,red blood cells,mixed,b,1.0",
        "c,images/c.png,tissue/c.png,lymphocytes,mixed,c,1.0",
    ]
    masks = {f"{name}.png": half(1) for name in "abc"}
    fields = load_tissue_fields(write_set(tmp_path / "segpath_web", head, rows, masks), ("segpath_web",))
    assert [f.name for f in fields] == ["a", "b"]  # nuclei of 6 px teach nothing
    assert names_in(fields[0].codes) == {"", "stained epithelium"}
    assert names_in(fields[1].codes[:, 20:]) == {"stained red cells"}


@pytest.mark.parametrize(
    ("name", "found"), [("camelyon32", {"tumor", "lymph node"}), ("ocdc10", {"tumor", ""})]
)
def test_a_mask_of_tumor_and_rest(tmp_path, name, found):
    root = write_set(
        tmp_path / name,
        "image,file,tissue,organ,source,mpp",
        ["a,images/a.png,tissue/a.png,x,s,1.0"],
        {"a.png": half(1)},
    )
    (field,) = load_tissue_fields(root, (name,))
    assert names_in(field.codes) == found
    assert field.part == "train"


def test_fat_is_tissue_and_empty_glass_has_no_label(tmp_path):
    rows = [f"{k},images/{k}.png,{label},Adipose,{k},1.0" for k, label in enumerate(("adipocyte", "empty"))]
    root = write_set(tmp_path / "gtex_adipose", "image,file,label,organ,source,mpp", rows)
    fields = load_tissue_fields(root, ("gtex_adipose",))
    assert [(f.label, names_in(f.codes)) for f in fields] == [("adipocyte", {"other"})]


def test_tiles_of_a_shared_folder_go_to_their_data_set(tmp_path):
    rows = ["a,images/a.png,TUM,NCT-CRC-HE-7K,colon,a,0.5", "b,images/b.png,colon_n,LC25000 small,colon,b,"]
    root = write_set(tmp_path / "tissue_tiles", "image,file,label,set,organ,source,mpp", rows)
    fields = load_tissue_fields(root, ("tissue_tiles",))
    assert [(f.data_set, f.image.shape[0]) for f in fields] == [("nct", 20), ("lc25000", 28)]
    assert fields[1].part == "train"


def test_a_folder_without_a_declaration_is_one_clear_line(tmp_path):
    root = write_set(tmp_path / "mine", "image,file,source,mpp", ["a,images/a.png,s,1.0"])
    with pytest.raises(DataError, match="no data set that is declared"):
        load_tissue_fields(root, ("mine",))


def test_red_is_blood_and_pink_is_not():
    colors = np.array([[(200, 60, 110), PINK]], np.uint8).repeat(9, 0).repeat(9, 1)
    found = red_cells(colors)
    assert found[4, 4]
    assert not found[4, 13]
