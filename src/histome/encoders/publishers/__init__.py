"""One file a publisher, one decorated function an encoder.

Facts are the publishers' own (model cards, papers, repositories); None where they state nothing.
"""

__all__ = ["PUBLISHERS"]

# Modules of this folder.
PUBLISHERS = (
    *(
        "baselines",
        "bioptimus",
        "histai",
        "hkust",
        "kaiko",
        "mahmood",
        "microsoft",
        "others",
        "owkin",
        "paige",
    ),
    "slides",
)
