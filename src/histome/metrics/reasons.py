"""Why a metric is null: the reasons that several families give. The other ones stand with their family.

A reason may name the axes of its template, as in "there are no {center}"; the words are filled in when the
table is written.
"""

NO_QUALITY_MAP = "no quality map was given"
NO_REGIONS = "no regions were given"
NO_TISSUE = "there is no analyzed tissue"
NO_CARCINOMA = "there is no carcinoma"
NO_STROMA = "there is no stroma"
NO_TUMOR = "there is no tumor of at least 0.05 mm2"
EMPTY_ZONE = "the {zone} is empty"
NO_CELLS = "there are no cells"
NO_CENTER = "there are no {center}"
