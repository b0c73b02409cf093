"""The JSON of a patch: from masks in a file or an image, in three modes; and files that are refused."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import drawn_patch
from helpers.cells import cell_table
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw
from helpers.phantoms import break_tile, tiled_tiff
from helpers.restained import in_dab
from PIL import Image

from histome.classes import CELL_CLASSES
from histome.errors import MppError, SlideError, UsageError
from histome.models import registry
from histome.narrative import Facts, write
from histome.phantom.draw import paint_field
from histome.phenotype import features, patch
from histome.phenotype.axes import phenotypes_of
from histome.phenotype.patch import PANNUKE_OF, describe_file, describe_image, see_file
from histome.slide.plain import array_slide

_CONNECTIVE = ((20 * (k % 10), 200 + 20 * (k // 10), 3) for k in range(17))
MASKS = drawn_patch.draw([(0, 0, 1), (50, 0, 2), (0, 60, 2), *_CONNECTIVE], side=10)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    path = tmp_path / "patch.npz"
    np.savez_compressed(path, inst_mask=MASKS[0], cls_mask=MASKS[1])
    return path


@pytest.mark.parametrize(
    ("mpp", "compatible", "mode", "units", "distance"),
    [
        (0.5, False, "physical", ("um", "um2"), 27.5),
        (None, False, "pixels", ("px", "px2"), 55.0),
        (None, True, "compatible", ("px", "px2"), 55.0),
        (0.5, True, "compatible", ("px", "px2"), 55.0),
    ],
)
def test_the_three_modes(
    masks: Path, mpp, compatible: bool, mode: str, units: tuple, distance: float
) -> None:
    found = describe_file(masks, mpp=mpp, compatible=compatible)
    assert (found["mode"], found["mpp"]) == (mode, mpp)
    assert found["raw_data"]["mean_dist_Inflammatory_to_Neoplastic"] == distance
    length, area = (
        found["units"][name] for name in ("mean_dist_Inflammatory_to_Neoplastic", "mean_area_Neoplastic")
    )
    assert (length, area) == units
    assert bool(found["warnings"]) is (mode == "pixels")
    assert set(found["units"]) == set(found["raw_data"]) - {"undefined"}


def test_the_document_is_plain_json_without_nan(masks: Path) -> None:
    found = describe_file(masks, mpp=0.25)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {"raw_data", "interpretation", "generated_tokens"} <= set(found)
    assert found["raw_data"]["mean_area_Dead"] is None


def test_without_a_resolution_labels_are_the_papers(masks: Path) -> None:
    """The limits of compatible mode, told in the document; at the paper's scale as many are engaged."""
    unknown, paper = describe_file(masks), describe_file(masks, compatible=True)
    assert unknown["undefined"] == {
        "composition": "there are fewer than 20 neoplastic cells",
        "immune": "there are fewer than 20 inflammatory cells",
        "stroma": "there are fewer than 20 connective and neoplastic cells",
        "interaction": "there are fewer than 20 inflammatory and neoplastic cells",
        "morphology": "there are fewer than 20 neoplastic cells",
    }
    assert unknown["interpretation"] == paper["interpretation"] | dict.fromkeys(unknown["undefined"])
    assert None not in paper["interpretation"].values()
    assert unknown["cuts"] == paper["cuts"]
    assert unknown["cuts"]["morphology"] == [150, 300]
    known = describe_file(masks, mpp=0.35)
    assert known["raw_data"]["count_engaged_immune"] == unknown["raw_data"]["count_engaged_immune"] == 1
    assert known["cuts"]["morphology"] == [25, 40]


@pytest.mark.parametrize(("mpp", "compatible"), [(0.25, False), (None, False), (0.25, True)])
def test_fewer_than_twenty_cells_have_labels_in_compatible_mode_only(
    tmp_path: Path, mpp, compatible: bool
) -> None:
    """One neoplastic nucleus is no solid nest, but where the paper is followed; 20 are labeled as ever."""
    for n in (1, 19, 20):
        inst_mask, cls_mask = drawn_patch.draw([(20 * (k % 10), 20 * (k // 10), 1) for k in range(n)])
        np.savez(tmp_path / "few.npz", inst_mask=inst_mask, cls_mask=cls_mask)
        found = describe_file(tmp_path / "few.npz", mpp=mpp, compatible=compatible)
        labeled = compatible or n == 20
        assert (found["interpretation"]["composition"] == "High Tumour Purity") is labeled
        assert ("Solid tumour nest" in found["generated_tokens"]) is labeled
        assert found["raw_data"]["ratio_Neoplastic"] == 1.0
        assert found["notes"] == ([] if labeled else ["No labels: there are fewer than 20 cells."])
        if not labeled:
            assert set(found["interpretation"].values()) == {None}
            assert found["undefined"]["composition"] == "there are fewer than 20 cells"


def test_nuclei_without_a_class_are_told(tmp_path: Path) -> None:
    inst_mask, cls_mask = drawn_patch.draw([(20 * k, 0, 0 if k < 2 else 1) for k in range(12)])
    np.savez(tmp_path / "patch.npz", inst_mask=inst_mask, cls_mask=cls_mask)
    seen = see_file(tmp_path / "patch.npz", mpp=0.25)
    assert (seen.document["raw_data"]["total_cell_count"], seen.document["cells_left_out"]) == (10, 2)
    assert seen.document["notes"][0] == "2 nuclei without a class in cls_mask: left out of all numbers."
    assert (seen.left_out.x.tolist(), seen.left_out.code.tolist()) == ([1.5, 21.5], [0, 0])
    assert seen.size_px == (300, 300)


def test_nuclei_are_made_of_masks_once(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, all_cells = [], features.all_cells_of_masks

    def counted(*given: np.ndarray) -> tuple[features.PatchCells, features.PatchCells]:
        made.append(all_cells(*given))
        return made[-1]

    for module in (features, patch):
        monkeypatch.setattr(module, "all_cells_of_masks", counted)
    seen = see_file(masks, mpp=0.25)
    assert seen.document["raw_data"]["total_cell_count"] == 20
    assert len(made) == 1
    assert (seen.cells, seen.left_out) == made[0]


def test_own_limits_are_in_um_and_refused_for_pixels(tmp_path: Path) -> None:
    cuts, masks = tmp_path / "cuts.toml", tmp_path / "patch.npz"
    inst_mask, cls_mask = drawn_patch.draw([(20 * (k % 10), 20 * (k // 10), 1) for k in range(20)], side=10)
    np.savez(masks, inst_mask=inst_mask, cls_mask=cls_mask)
    cuts.write_text("[morphology]\nbelow = 1.0\nabove = 2.0\n")
    found = describe_file(masks, mpp=0.25, cuts=cuts)
    assert (found["cuts"]["morphology"], found["interpretation"]["morphology"]) == (
        [1, 2],
        "Large/Pleomorphic",
    )
    assert found["own_cuts"] == ["morphology"]
    assert describe_file(masks, mpp=0.25)["own_cuts"] == describe_file(masks)["own_cuts"] == []
    no_mpp, paper = "give its um/px with --mpp", "leave out --compatible"
    for options, way in (
        ({}, no_mpp),
        ({"mpp": 0.25, "compatible": True}, paper),
        ({"compatible": True}, f"{paper} and {no_mpp}"),
    ):
        with pytest.raises(UsageError, match=f"limits are in um and .* pixels; {way}$"):
            describe_file(masks, cuts=cuts, **options)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no limits in use; give a table such as [morphology] with below and above, or no file"),
        ("# [morphology]\n# below = 30.0\n", "no limits in use"),
        (
            "morphology = 3\n",
            "setting morphology: must be a table such as [morphology] with below, above",
        ),
        ("[morphology]\nbelow = 3.0\n", "setting morphology.above: Field required"),
    ],
)
def test_a_file_without_limits_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "cuts.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        phenotypes_of(tmp_path / "cuts.toml")
    assert str(refused.value).startswith(f"{tmp_path / 'cuts.toml'}: {told}")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a model that finds drawn ellipses, known while a test runs."""
    network = DrawnNetwork()
    monkeypatch.setitem(registry._REGISTERED, network.card.name, network)
    return network.card.name


def test_the_nuclei_of_an_image_are_found_and_mapped(drawn: str) -> None:
    """One drawn nucleus of each of our nine classes, 60 um apart; no tissue model is asked."""
    ellipses = [Ellipse(40 + 60 * (k % 3), 40 + 60 * (k // 3), 5.0, 5.0, code=k) for k in range(9)]
    slide = draw((480, 440), ellipses)
    found = describe_image(slide, model=drawn)
    raw = found["raw_data"]
    wanted = {kind: list(PANNUKE_OF.values()).count(kind) for kind in set(PANNUKE_OF.values())}
    assert {kind: raw[f"count_{kind}"] for kind in wanted} == wanted
    assert (raw["total_cell_count"], raw["count_Dead"], found["cells_left_out"]) == (8, None, 1)
    assert found["notes"] == [
        "1 nucleus of the class other, which is none of the five: left out of all numbers.",
        "No labels: there are fewer than 20 cells.",
    ]
    assert raw["mean_area_Neoplastic"] == pytest.approx(np.pi * 25, rel=0.1)
    assert found["mode"] == "physical"


def test_what_is_known_of_the_file_and_broken_tiles_are_warnings(drawn: str, tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "a.tif", np.full((256, 512, 3), 255, np.uint8), mpp=0.5, tile=256)
    break_tile(path, 1)
    found = describe_file(path, mpp=0.25, model=drawn)
    assert found["warnings"] == [
        "--mpp 0.25 replaces 0.5 um/px that the file states",
        "1 broken tile could not be read: counted as no tissue",
        "no valid tissue found; is it an H&E slide?",
    ]


def test_an_image_that_is_not_h_and_e_is_told(drawn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A painted field, the same in DAB and in gray, and spots of light on black as fluorescence has them."""
    none = cell_table([], [], np.zeros(0, int), abstained=np.zeros(0, bool))
    monkeypatch.setattr("histome.phenotype.patch.find_cells", lambda *_, **__: none)
    field = paint_field(512, mpp=0.5, rng=np.random.default_rng(0))
    gray = np.repeat(field.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    spots = np.zeros_like(field)
    spots[::16, ::16, 2] = 255
    found = [
        describe_image(array_slide(rgb, 0.5), model=drawn) for rgb in (field, in_dab(field), gray, spots)
    ]
    assert [one["h_and_e"] for one in found] == [True, False, False, False]
    doubt = "Quality control finds no tissue of H&E in this patch"
    assert [doubt in write(Facts.of_patch(one)).text for one in found] == [False, True, True, True]
    assert [one["warnings"] for one in found] == [
        [],
        ["by its colors (brown) this does not look like H&E (NOT_H_AND_E): of another stain nothing holds"],
        ["no valid tissue found; is it an H&E slide?"],
        [
            "not H&E (NOT_H_AND_E): its background is dark, as in fluorescence; histome measures brightfield "
            "H&E only."
        ],
    ]


def test_cells_that_the_model_abstained_from_are_counted(drawn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """5 of 30 lymphocytes and one of two nuclei of class other, which counts nowhere."""
    kinds = [*["lymphocyte"] * 30, "other", "other"]
    unsure = [*[True] * 5, *[False] * 25, True, False]
    cells = cell_table(np.arange(32) * 9.0, np.zeros(32), kinds, abstained=unsure, area_um2=np.full(32, 30.0))
    monkeypatch.setattr("histome.phenotype.patch.find_cells", lambda *_, **__: cells)
    found = describe_image(
        array_slide(paint_field(512, mpp=0.5, rng=np.random.default_rng(0)), 0.5), model=drawn
    )
    assert (found["cells_abstained"], found["cells_left_out"]) == (5, 2)


def test_an_image_in_compatible_mode_is_in_its_pixels(drawn: str) -> None:
    ellipses = [Ellipse(40, 40, code=0), Ellipse(100, 40, code=CELL_CLASSES.index("lymphocyte"))]
    slide = draw((280, 160), ellipses)
    um, px = (describe_image(slide, model=drawn, compatible=compatible) for compatible in (False, True))
    name = "mean_dist_Inflammatory_to_Neoplastic"
    assert px["raw_data"][name] == pytest.approx(2 * um["raw_data"][name])
    assert px["raw_data"]["mean_area_Neoplastic"] == pytest.approx(4 * um["raw_data"]["mean_area_Neoplastic"])
    assert px["units"][name] == "px"


def test_an_npz_without_both_masks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.npz"
    np.savez(path, inst_mask=MASKS[0], types=MASKS[1])
    with pytest.raises(UsageError, match=r"no cls_mask among its arrays \(inst_mask, types\)"):
        describe_file(path)


def test_masks_of_two_patches_are_refused_with_their_file(tmp_path: Path) -> None:
    inst_mask, cls_mask = MASKS
    np.savez(tmp_path / "patch.npz", inst_mask=inst_mask, cls_mask=np.zeros_like(cls_mask))
    with pytest.raises(UsageError, match=r"patch.npz: no pixel has both"):
        describe_file(tmp_path / "patch.npz", mpp=0.5)


def test_arrays_of_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, inst_mask=np.array([{}], object), cls_mask=MASKS[1], allow_pickle=True)
    with pytest.raises(UsageError, match=r"cannot be read as an [.]npz"):
        describe_file(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"no zip at all", b"\x93NUMPY\x01"])
def test_a_broken_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"broken[.]npz: .* an [.]npz"):
        describe_file(path)


def test_masks_that_claim_more_than_there_is_are_refused_with_their_file(tmp_path: Path) -> None:
    path, header = tmp_path / "p.npz", io.BytesIO()
    claimed = {"descr": "<i4", "fortran_order": False, "shape": (10**6, 10**6)}  # 4 TB
    np.lib.format.write_array_header_1_0(header, claimed)
    with zipfile.ZipFile(path, "w") as file:
        for name in ("inst_mask", "cls_mask"):
            file.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(UsageError, match=r"p\.npz: cannot be read as an \.npz of plain arrays"):
        describe_file(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for name in ("none.npz", "none.png"):
        with pytest.raises(SlideError, match="does not exist"):
            describe_file(tmp_path / name)


def test_an_image_needs_a_resolution(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "field.png")
    with pytest.raises(MppError, match="--mpp"):
        describe_file(tmp_path / "field.png")
