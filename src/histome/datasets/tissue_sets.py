"""Data sets with labeled tissue, one declaration each; those of nuclei that teach tissue too stand there."""

from histome.datasets.declaration import DataSet, TissueLabels

TISSUE_SETS: tuple[DataSet, ...] = (
    DataSet(
        name="glas",
        license="research use (Warwick, Sirinukunwattana et al. 2017)",
        citation="doi:10.1016/j.media.2016.08.008",
        organ="colorectum",
        source="patient",
        # Patients 1, 3 and 10 have fields of both grades.
        tuning=("patient 4", "patient 6", "patient 13"),
        held_out=("patient 9", "patient 11", "patient 3"),
        tissue=TissueLabels(
            layout="glands",
            note="colon; gland outlines, grade; by patient",
            labels={"malignant": "malignant gland", "benign": "benign gland", "outside": "outside glands"},
            split="named",
        ),
    ),
    DataSet(
        name="wsss4luad",
        license="challenge data, research use (CC BY-NC-SA, to be verified)",
        citation="Han et al. 2022, arXiv:2204.06455",
        organ="lung",
        source="field; patients unknown",
        tissue=TissueLabels(
            layout="masks",
            note="lung; pixels; patients unknown",
            labels={"0": "tumor", "1": "tumor stroma", "2": "normal lung"},
            stratum="2",
        ),
    ),
    DataSet(
        name="osteosarcoma",
        license="CC BY 3.0 (TCIA)",
        citation="Leavey et al. 2019, doi:10.7937/tcia.2019.bvhjhdas",
        organ="bone",
        # Three patients, each with its own labels: only the block can be held out, and the card says so.
        source="block of tissue",
        source_pattern=r"___(.*?-[A-C]\d+)-",
        tissue=TissueLabels(
            layout="tiles",
            note="bone; one word a tile; three patients, split by block only",
            labels={"Viable": "viable sarcoma", "Non-Viable-Tumor": "necrotic sarcoma", "Non-Tumor": "bone"},
            answers={
                "Non-Viable-Tumor": ("NECROSIS",),
                "Non-Tumor": ("STROMA", "OTHER", "BLOOD", "VESSEL"),
            },
            # Given as 10x, but its red cells are 11 px wide as in a scan at about 0.6 um/px.
            zoom=(0.8, 2.2),
        ),
    ),
    DataSet(
        name="nct",
        license="CC BY 4.0 (NCT-CRC-HE-7K)",
        citation="Kather et al. 2019, doi:10.1371/journal.pmed.1002730",
        organ="colorectum",
        source="tile",
        folder="tissue_tiles",
        sets={"NCT-CRC-HE-7K": None},
        tissue=TissueLabels(
            layout="tiles",
            note="colon; one word a tile",
            labels={
                **{"TUM": "tumor", "STR": "STR", "NORM": "NORM", "MUS": "MUS", "LYM": "LYM"},
                **{"MUC": "other", "ADI": "other", "DEB": "debris"},
            },
            answers={
                "TUM": ("CARCINOMA",),
                "STR": ("STROMA", "VESSEL"),
                "NORM": ("EPITHELIAL_TISSUE", "STROMA"),
                "MUS": ("OTHER", "STROMA"),
                "LYM": ("STROMA", "OTHER"),
                "MUC": ("OTHER",),
                "ADI": ("OTHER",),
                "DEB": ("NECROSIS", "BLOOD"),
            },
            tile_mpp=0.5,
            mirrored=True,
        ),
    ),
    DataSet(
        name="kather",
        license="CC BY 4.0 (Kather et al. 2016)",
        citation="doi:10.1038/srep27988",
        organ="colorectum",
        source="image that tiles are cut from",
        folder="tissue_tiles",
        sets={"Kather 2016": None},
        tissue=TissueLabels(
            layout="tiles",
            note="colon; one word a tile",
            labels={
                "01_TUMOR": "tumor",
                "02_STROMA": "STR",
                "03_COMPLEX": "complex stroma",
                "04_LYMPHO": "LYM",
                **{"05_DEBRIS": "debris", "06_MUCOSA": "NORM", "07_ADIPOSE": "other"},
            },
            tile_mpp=0.495,
            mirrored=True,
        ),
    ),
    DataSet(
        name="starc9",
        license="CC BY 4.0",
        citation="Subramanian et al. 2025, arXiv:2511.00383",
        source="tile",
        organ="colorectum",
        tissue=TissueLabels(
            layout="tiles",
            note="colon; one word a tile",
            # FCT is fibrous connective tissue, NCS necrosis, BLD blood.
            labels={
                **{"TUM": "tumor", "FCT": "STR", "NOR": "NORM", "MUS": "MUS", "LYM": "LYM"},
                **{"MUC": "other", "ADI": "other", "NCS": "NECROSIS", "BLD": "blood"},
            },
            mirrored=True,
        ),
    ),
    DataSet(
        name="lc25000",
        license="LC25000, with citation (Borkowski et al. 2019)",
        citation="arXiv:1912.12142",
        source="unknown: tiles are augmented copies of few originals",
        folder="tissue_tiles",
        # Its resolution is not stated: red cells (7 um) are 21 px in the 512 px tiles, 11 px in the small.
        sets={"LC25000 at 512 px": 0.33, "LC25000 small": 0.7},
        tissue=TissueLabels(
            layout="tiles",
            note="colon, lung; one word a tile; training only",
            labels={
                **dict.fromkeys(("colon_aca", "lung_aca", "lung_scc"), "carcinoma tile"),
                **dict.fromkeys(("colon_n", "lung_n"), "benign tile"),
            },
            split="train only",
            red_cells=("lung_n",),
            zoom=(0.6, 1.6),
            mirrored=True,
        ),
    ),
    DataSet(
        name="segpath_web",
        license="CC BY-NC-SA 4.0",
        citation="Komura et al. 2023, Patterns 4(2)",
        source="field; patients unknown",
        tissue=TissueLabels(
            layout="masks",
            note="mixed organs; one antibody an image, all other pixels unknown",
            # Nuclei are 6 px wide: the antibodies against theirs teach nothing here.
            labels={
                "red blood cells": "stained red cells",
                "smooth muscle or myofibroblast": "stained smooth muscle",
                "epithelium": "stained epithelium",
            },
        ),
    ),
    DataSet(
        name="ocdc10",
        license="CC BY 4.0",
        citation="OCDC, doi:10.17632/9bsc36jyrt",
        organ="oral cavity",
        source="patient",
        tissue=TissueLabels(
            layout="masks",
            # Code 0 holds keratin, lumen and blood beside stroma: it is not labeled.
            note="oral cavity; outlines of tumor epithelium without keratin; one patient",
            labels={"1": "tumor"},
            split="train only",
        ),
    ),
    DataSet(
        name="camelyon32",
        license="CC0 1.0",
        citation="Litjens et al. 2018, doi:10.1093/gigascience/giy065",
        organ="lymph node",
        source="unknown: all fields count as one",
        tissue=TissueLabels(
            layout="masks",
            note="lymph node; metastases in blocky outlines",
            labels={"0": "lymph node", "1": "tumor"},
            split="train only",
        ),
    ),
    DataSet(
        name="gtex_adipose",
        license="GTEx open access",
        citation="GTEx Consortium 2020, doi:10.1126/science.aaz1776",
        source="donor",
        tissue=TissueLabels(
            layout="tiles",
            note="fat; one word a tile",
            # Fat is tissue, not background; empty glass is not labeled.
            labels={"adipocyte": "other", "not_adipocyte": "fat or fibrous tissue"},
            answers={"adipocyte": ("OTHER",)},
        ),
    ),
)
