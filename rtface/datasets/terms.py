"""What the publishers of public sets allow, as they say it: it decides what weights trained on them may be used for.

A corpus file's own ``licence`` column comes first: what `rtface import --license` was told, or the set says picture by
picture. This table is for rows that say nothing. It is a summary, not legal advice; read the publisher's own page.
"""

from __future__ import annotations

RESEARCH = "non-commercial research"
UNKNOWN = "unknown"

#: By a row's source, as readers and the corpus name it.
TERMS = {
    "helen": RESEARCH,
    "lfpw": RESEARCH,
    "afw": RESEARCH,
    "ibug": RESEARCH,
    "300w": RESEARCH,
    "300vw": RESEARCH,
    "menpo": RESEARCH,
    "cofw": RESEARCH,
    "wflw": RESEARCH,
    "aflw2000": RESEARCH,
    "mtfl": RESEARCH,
    "wider": RESEARCH,
    "mafa": RESEARCH,
    "celebamask": RESEARCH,
    "lapa": RESEARCH,
    "helenmask": RESEARCH,
    "fasseg2": "research",
    "fasseg3": "research",
    "ferplus": "research (FER2013 pictures); MIT (FER+ votes)",
    "fer2013": "research",
    "rafdb": RESEARCH,
    "affectnet": RESEARCH,
    "udacity": RESEARCH,  # YouTube Faces, points by Udacity
    "lfw": RESEARCH,
    "utkface": RESEARCH,
    "voc2007": "Flickr terms",
    "coco2017": "Flickr terms (pictures); CC BY 4.0 (annotations)",
    "cocowholebody": "Flickr terms (pictures); non-commercial research (annotations)",
    "scut-head": "research",
    "negative": "Flickr terms (PASCAL VOC 2007, COCO 2017) or CC0",
    "maks": f"{UNKNOWN} (Face Mask Detection, Kaggle)",
}


def terms_of(source: str, licence: str | None) -> str:
    """The terms of a row: its own, else its source's, else "unknown".

    Example:
        >>> terms_of("wflw", None), terms_of("mine", "CC-BY-4.0"), terms_of("mine", None)
        ('non-commercial research', 'CC-BY-4.0', 'unknown')
    """
    return licence or TERMS.get(source, UNKNOWN)
