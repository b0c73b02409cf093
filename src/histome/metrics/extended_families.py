"""The extended families: what each measures and after whom."""

from histome.metrics.declaration import Family

_SCANNER = "only as far as stain and scanner agree: optical densities are not normalized"

EXTENDED_FAMILIES = (
    Family(
        "W1",
        "Zone areas",
        "Tumor = carcinoma closed by a disc of 100 um radius, holes filled, pieces under 0.05 mm2 dropped; "
        "core = "
        "more than 500 um inside it; inner and outer margin = 500 um either side of its front; extratumoral "
        "= the "
        "other analyzed tissue; whole tumor region = core and inner margin. Only analyzed tissue counts.",
        source="Margins: Hendry et al. 2017, doi:10.1097/PAP.0000000000000162",
        of_cells=False,
    ),
    Family("W2", "Tissue areas in zones", "Area of each tissue class in each zone.", of_cells=False),
    Family("W3", "Cells in zones", "Number, share and density of each class in each zone."),
    Family(
        "W4",
        "Neighborhoods in the whole tumor region",
        "The core neighborhood metrics for centers in the whole tumor region; neighbors may lie anywhere.",
        source="As the core neighborhoods",
    ),
    Family(
        "L1",
        "Lymphoid aggregates",
        "DBSCAN clusters of lymphocytes and plasma cells: eps 20 um, core cells with at least 5 cells "
        "within eps "
        "(themselves included), border cells to their nearest core cell; kept from 50 cells and 0.01 mm2 "
        "on. The "
        "area of an aggregate is the union of discs of 10 um round its cells.",
        source="DBSCAN: Ester et al. 1996 (KDD-96, 226-231)",
    ),
    Family(
        "N1",
        "Nuclear morphology per class",
        "Distribution of each nuclear feature over the cells of a class, or over all. SD with n - 1; "
        "percentiles "
        "by linear interpolation; skewness = third central moment / SD^3 (both with n).",
        scanners=f"shapes: yes, at one resolution; optical densities: {_SCANNER}",
    ),
    Family(
        "N2",
        "Nuclear morphology per class and tissue",
        "Mean and SD (n - 1) of nuclear features per class in each nucleated tissue.",
        scanners=f"shapes: yes, at one resolution; optical densities: {_SCANNER}",
    ),
    Family(
        "I1",
        "Densities either side of the border",
        "Bands of distance to the carcinoma-stroma border: IN = carcinoma by its distance to the nearest "
        "stroma, "
        "OUT = stroma by its distance to the nearest carcinoma; distances between pixel centers, upper end "
        "included.",
        source="Exact distance transform: Meijster et al. 2000, doi:10.1007/0-306-47025-X_36",
    ),
    Family(
        "I2",
        "Distance to carcinoma",
        "Distance from each cell on the map to the nearest carcinoma pixel, 0 inside carcinoma.",
        source="Exact distance transform: Meijster et al. 2000, doi:10.1007/0-306-47025-X_36",
    ),
    Family(
        "S1",
        "Nearest-neighbor distances",
        "Distance from each cell of one class to the nearest other cell of another, however far.",
        source="Clark and Evans 1954, doi:10.2307/1931034",
    ),
    Family(
        "S2",
        "Cross G",
        "Share of the centers with a neighbor of the class within a radius: the cross-type nearest-neighbor "
        "distribution, without border correction.",
        source="Diggle 2013, Statistical Analysis of Spatial and Spatio-Temporal Point Patterns, 3rd ed.",
    ),
    Family(
        "S3",
        "Cross L",
        "L - R with L = sqrt(K / pi); K = window area x pairs within R / (centers x neighbors), over "
        "centers at "
        "least R from the border of the window (reduced sample); the window is the nucleated tissue. 0 at "
        "random, "
        "above for attraction.",
        source="Ripley 1988, doi:10.1017/CBO9780511624131; reduced sample as in spatstat "
        "Kcross(correction='border')",
    ),
    Family(
        "S4",
        "Neighborhood enrichment",
        "Pairs of a center and a neighbor within 40 um, against all relabelings of the cells: exact mean and "
        "variance, no permutations drawn. Symmetric in the two classes.",
        source="Join counts without replacement: Cliff and Ord 1981, Spatial Processes; the quantity as "
        "Palla et al. "
        "2022, doi:10.1038/s41592-021-01358-2",
    ),
    Family(
        "S5",
        "Contacts",
        "Contact = two cells at most 30 um apart whose Voronoi cells share an edge (a Delaunay edge); four "
        "cells on "
        "one circle make no diagonal contact. Unordered pairs of classes.",
        source="Delaunay 1934; as cell graphs in Schapiro et al. 2017, doi:10.1038/nmeth.4391",
    ),
    Family(
        "S6",
        "Co-localization",
        "Over square tiles of 250 um of which at least a quarter is nucleated tissue: Morisita-Horn index "
        "of the "
        "counts, Pearson correlation of the densities.",
        source="Horn 1966, doi:10.1086/282436; in pathology Maley et al. 2015, doi:10.1186/s13058-015-0638-4",
    ),
    Family(
        "S7",
        "Clustering of one class",
        "Clark-Evans ratio, with Hanisch's border correction in the nucleated tissue; Moran's I, Getis-Ord "
        "hot "
        "spots and Gini coefficient of the densities of 250 um tiles (neighbors share a side or a corner).",
        source="Clark and Evans 1954, doi:10.2307/1931034; Hanisch 1984, doi:10.1080/02331888408801788; "
        "Moran 1950, "
        "doi:10.2307/2332142; Ord and Getis 1995, doi:10.1111/j.1538-4632.1995.tb00912.x",
    ),
    Family(
        "D1",
        "Diversity",
        "Of the nine class shares: Shannon entropy (natural logarithm), Gini-Simpson index and number of "
        "classes.",
        source="Shannon 1948, doi:10.1002/j.1538-7305.1948.tb01338.x; Simpson 1949, doi:10.1038/163688a0",
    ),
    Family(
        "H1",
        "Heterogeneity between tiles",
        "Densities of a class in square tiles of which at least a quarter is nucleated tissue; the tiles are "
        "centered on the analyzed tissue.",
    ),
    Family("R1", "Ratios and scores", "Quotients that pathologists use; null at a zero denominator."),
    Family(
        "U1",
        "Certainty",
        "Calibrated probability of the class that each cell was given, and the cells whose class the model "
        "abstained from. The abstained metrics always count all cells.",
        scanners="only as far as the model was calibrated on them",
    ),
    Family(
        "Q1",
        "Slide and scan",
        "What quality control and the scanner say about the slide.",
        scanners="no: they describe the scan itself",
        of_cells=False,
    ),
)
