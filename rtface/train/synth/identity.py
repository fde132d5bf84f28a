"""Who is drawn: shape of head and face, skin, hair, eyes, and what is worn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rtface.datasets.labelled import Array
from rtface.train.synth.assets import Assets, Skin

_ANCESTRIES = ("african", "asian", "caucasian")
_AGES = {"young": (0.0, 0.25), "middleage": (0.3, 0.65), "old": (0.65, 1.0)}
_DETAILS = ("head", "nose", "mouth", "eyes", "chin", "cheek", "forehead", "eyebrows", "ears", "neck", "asym")
_WAYS = re.compile(r"-(incr|decr|up|down|in|out|forward|backward|concave|convex|compress|uncompress|l|r|small|big)$")
#: Linear colours of hair: black, dark brown, brown, blond, red, grey, white.
_HAIR = np.array(
    [
        (0.02, 0.018, 0.016),
        (0.07, 0.045, 0.03),
        (0.2, 0.13, 0.08),
        (0.5, 0.38, 0.2),
        (0.42, 0.17, 0.07),
        (0.45, 0.45, 0.45),
        (0.8, 0.8, 0.78),
    ]
)
_HAIR_YOUNG, _HAIR_OLD = (0.42, 0.25, 0.14, 0.09, 0.05, 0.03, 0.02), (0.18, 0.12, 0.1, 0.05, 0.02, 0.28, 0.25)
_HAIR_F = ("bob01", "bob02", "braid01", "long01", "long01", "ponytail01", "ponytail01", "afro01", "short03", "short02")
_HAIR_M = ("short01", "short02", "short03", "short04", "short02", "short04", "afro01", "long01", "", "")
_IRIS = ("brown", "brownlight", "brown", "blue", "green", "grey", "lightblue", "deepblue", "bluegreen", "ice")
#: Moustache, chin, cheeks: all, all, without cheeks, moustache or chin alone.
_BEARDS = ((1.0, 1.0, 0.9), (0.7, 0.8, 0.7), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.2, 1.0, 0.0))
HATS = ("fishing", "beanie", "cap", "scarf")


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Everything about one head but its expression, pose and light.

    Attributes:
        shape: Targets and weights.
        hair: Name, or "" where there is none; `hair_colour`, `skin_tint` and `cloth_tint` multiply linear light.
        beard: How much of moustache, chin and cheeks is grown, 0..1 each; `stubble` how grainy.
        hat: Of `HATS`, or ""; `mask` medical mask, `glasses` 0 none, 1 clear, 2 dark.
    """

    skin: Skin
    shape: dict[str, float]
    skin_tint: tuple[float, float, float]
    hair: str
    hair_colour: tuple[float, float, float]
    brow: str
    brow_opacity: float
    lash: str
    iris: str
    cloth: str
    cloth_tint: tuple[float, float, float]
    beard: tuple[float, float, float]
    stubble: float
    lips: tuple[float, float, float]
    hat: str = ""
    hat_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    mask: bool = False
    mask_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    glasses: int = 0
    glasses_tint: tuple[float, float, float] = (0.1, 0.1, 0.1)
    earrings: str = ""
    necklace: bool = False
    metal: tuple[float, float, float] = field(default=(0.8, 0.6, 0.2))
    hand: bool = False


def sample(rng: np.random.Generator, assets: Assets) -> Person:
    """A random person."""
    skins = assets.skins
    if rng.random() < 0.3:  # half of the archive's skins are light
        skins = tuple(skin for skin in skins if skin.ancestry in ("african", "asian"))
    skin = skins[rng.integers(len(skins))]
    female = float(np.clip((skin.gender == "female") + 0.12 * rng.normal(), 0, 1))
    age = rng.uniform(*_AGES[skin.age])
    child = rng.uniform(0.2, 0.75) if skin.age == "young" and rng.random() < 0.2 else 0.0
    woman = female > 0.5
    hair = str(rng.choice(_HAIR_F if woman else _HAIR_M))
    colour = _hair_colour(rng, skin, age)
    clothes = [name for name in assets.names("clothes") if name.startswith("female" if woman else "male")]
    bearded = not woman and not child and rng.random() < 0.55
    beard = np.array(_BEARDS[rng.integers(len(_BEARDS))]) * rng.uniform(0.2, 1.0) if bearded else np.zeros(3)
    painted = woman and rng.random() < 0.4
    return Person(
        skin=skin,
        shape=_macro(rng, skin, female, age, child) | _details(rng, assets) | _scanned(rng, assets),
        skin_tint=_tint(rng, 0.16, 0.05),
        hair=hair,
        hair_colour=colour,
        brow=str(rng.choice(assets.names("eyebrows"))),
        brow_opacity=float(rng.uniform(0.6, 1.2)),
        lash=str(rng.choice(assets.names("eyelashes"))),
        iris=str(rng.choice(_IRIS)) + "_eye" if skin.ancestry == "caucasian" else "brown_eye",
        cloth="" if child > 0.1 else str(rng.choice(clothes)),
        cloth_tint=_colour(rng, 0.2, 1.2),
        beard=tuple(beard.tolist()),
        stubble=float(rng.uniform(0.3, 1.0)),
        lips=_three(np.array((1.0, 0.55, 0.6)) ** rng.uniform(0.3, 1.6)) if painted else (1.0, 1.0, 1.0),
        **_worn(rng, woman),
    )


def _worn(rng: np.random.Generator, woman: bool) -> dict[str, Any]:
    hat = str(rng.choice(HATS, p=(0.2, 0.35, 0.3, 0.15))) if rng.random() < 0.14 else ""
    clinical = np.array(((0.75, 0.85, 0.95), (0.85, 0.85, 0.85), (0.03, 0.03, 0.035), (0.4, 0.65, 0.75)))
    mask = clinical[rng.integers(4)] if rng.random() < 0.7 else rng.uniform(0.05, 0.8, 3)
    gold, silver = np.array((0.85, 0.6, 0.2)), np.array((0.8, 0.8, 0.82))
    return {
        "hat": hat,
        "hat_tint": _colour(rng, 0.02, 0.8),
        "mask": bool(rng.random() < 0.06),
        "mask_tint": _three(mask),
        "glasses": int(rng.choice(3, p=(0.76, 0.17, 0.07))),
        "glasses_tint": _colour(rng, 0.01, 0.5) if rng.random() < 0.5 else (0.02, 0.02, 0.02),
        "earrings": str(rng.choice(("hoop", "stud", "drop"))) if rng.random() < (0.45 if woman else 0.06) else "",
        "necklace": bool(rng.random() < (0.25 if woman else 0.05)),
        "metal": _three((gold if rng.random() < 0.6 else silver) * rng.uniform(0.7, 1.1)),
        "hand": bool(rng.random() < 0.07),
    }


def _macro(rng: np.random.Generator, skin: Skin, female: float, age: float, child: float) -> dict[str, float]:
    """Ancestry, sex, age and weight: MakeHuman's macro targets, mixed."""
    mix = rng.dirichlet((0.7, 0.7, 0.7)) * rng.random() * 2
    if skin.ancestry in _ANCESTRIES:
        mix[_ANCESTRIES.index(skin.ancestry)] += 3
    else:
        mix += rng.dirichlet((0.5, 2.0, 2.0))
    mix /= mix.sum()
    sexes = (("female", female), ("male", 1 - female))
    ages = (("young", (1 - age) * (1 - child)), ("old", age * (1 - child)), ("child", child))
    fat = rng.random()
    heavy, share = ("maxweight" if fat > 0.5 else "minweight"), abs(2 * fat - 1)
    out: dict[str, float] = {}
    for sex, of_sex in sexes:
        for years, of_age in ages:
            for ancestry, of_ancestry in zip(_ANCESTRIES, mix.tolist(), strict=True):
                out[f"macrodetails/{ancestry}-{sex}-{years}"] = of_ancestry * of_sex * of_age
            universal = f"macrodetails/universal-{sex}-{years}-averagemuscle-"
            out[universal + "averageweight"] = of_sex * of_age * (1 - share)
            out[universal + heavy] = of_sex * of_age * share
    return {name: weight for name, weight in out.items() if weight > 1e-3}


def _details(rng: np.random.Generator, assets: Assets) -> dict[str, float]:
    """Single features, each this way or that, both sides nearly alike."""
    pairs: dict[str, list[str]] = {}
    for name in assets.target_at:
        kind, _, what = name.partition("/")
        moved = "trans" in what and kind in ("head", "neck")
        if kind in _DETAILS and not moved and "age" not in what and "child" not in what:
            pairs.setdefault(kind + "/" + _WAYS.sub("", re.sub(r"^[lr]-", "x-", what)), []).append(name)
    out: dict[str, float] = {}
    for stem, names in pairs.items():
        if rng.random() < 0.45:
            continue
        spread = 0.14 if stem.startswith("asym") else 0.2 if stem.startswith(("head", "eyes")) else 0.26
        weight = float(np.clip(abs(rng.normal()) * spread, 0.0, 0.8))
        kind, _, what = names[rng.integers(len(names))].partition("/")
        if "/x-" not in stem:
            out[f"{kind}/{what}"] = weight
            continue
        for side in "lr":
            out[f"{kind}/{side}-{what[2:]}"] = weight * float(np.clip(1 + 0.1 * rng.normal(), 0.7, 1.3))
    return {name: weight for name, weight in out.items() if name in assets.target_at}


def _scanned(rng: np.random.Generator, assets: Assets) -> dict[str, float]:
    """ICT-FaceKit's identity shapes, which were learned from scans."""
    return {name: float(0.8 * rng.normal()) for name in assets.target_at if name.startswith("ictid/")}


def _hair_colour(rng: np.random.Generator, skin: Skin, age: float) -> tuple[float, float, float]:
    if skin.ancestry in ("african", "asian") and age < 0.6:
        at = int(rng.choice(2, p=(0.8, 0.2)))
    else:
        at = int(rng.choice(len(_HAIR), p=_HAIR_YOUNG if age < 0.6 else _HAIR_OLD))
    dyed = rng.random() < 0.02
    return _colour(rng, 0.05, 0.6) if dyed else _three(_HAIR[at] * rng.uniform(0.7, 1.3))


def _tint(rng: np.random.Generator, brightness: float, hue: float) -> tuple[float, float, float]:
    return _three(np.exp(brightness * rng.normal()) * (1 + hue * rng.normal(size=3)))


def _colour(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    return _three(rng.uniform(low, high) * (0.4 + 0.6 * rng.random(3)))


def _three(values: Array) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
