"""Captions of composed scenes: every stated fact, at every level and in both languages.

The short one is a list as people type it, the medium one a sentence; the long one also says that there is nothing else.
"""

from collections.abc import Mapping, Sequence

from curation.captions import english
from curation.captions.vocabulary import COLOURS_ZH
from models.perception.scene_truth import Ground, Place, PlacedThing, SceneTruth, groups_of

NUMBERS_EN = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS_ZH = ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九", "十")

PLACES_EN: Mapping[Place, str] = {
    "top left": "in the top left corner", "top": "at the top", "top right": "in the top right corner", "left": "on the left",
    "centre": "in the centre", "right": "on the right", "bottom left": "in the bottom left corner", "bottom": "at the bottom",
    "bottom right": "in the bottom right corner",
}  # fmt: skip
PLACES_ZH: Mapping[Place, str] = {
    "top left": "左上角", "top": "上面", "top right": "右上角", "left": "左边", "centre": "中间", "right": "右边",
    "bottom left": "左下角", "bottom": "下面", "bottom right": "右下角",
}  # fmt: skip
SIZES_ZH: Mapping[str, str] = {"small": "小", "large": "大"}
PHOTOS_ZH: Mapping[str, str] = {"coffee": "咖啡", "rocket": "火箭", "flowers": "花", "temple": "宫殿"}


def captions_of(derivation: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """English and Chinese captions of a scene's derivation."""
    truth = SceneTruth.model_validate_json(derivation)
    return captions_en(truth), captions_zh(truth)


def captions_en(truth: SceneTruth) -> tuple[str, str, str]:
    """Short, medium and long caption in English."""
    groups = groups_of(truth.things)
    ground = ground_en(truth.ground)
    if truth.relation:
        told = f"{phrase_en(groups[0])} {_RELATIONS_EN[truth.relation]} {phrase_en(groups[1])}"
        short = f"{bare_en(groups[0])} {_RELATIONS_EN[truth.relation]} {bare_en(groups[1])}"
    else:
        told = listed_en([placed_en(group) for group in groups])
        short = ", ".join(" ".join(filter(None, (bare_en(group), group[0].place))) for group in groups)
    total = len(truth.things)
    only = "Exactly one thing" if total == 1 else f"Exactly {NUMBERS_EN[total]} things"
    return (
        f"{short}, {truth.ground.name} background",
        f"{english.capitalised(told)} on {ground}.",
        f"{only} on {ground}, and nothing else: {told}.",
    )


def captions_zh(truth: SceneTruth) -> tuple[str, str, str]:
    """Short, medium and long caption in Chinese; three empty strings where a Chinese name is missing."""
    if not all(each.name_zh for each in truth.things):
        return ("", "", "")
    groups = groups_of(truth.things)
    ground, places = ground_zh(truth.ground), [PLACES_ZH[group[0].place] if group[0].place else "" for group in groups]
    if truth.relation:
        lies = _RELATIONS_ZH[truth.relation]
        short = f"{_short_zh(groups[0])}在{_short_zh(groups[1])}的{lies}"
        told = has = f"{phrase_zh(groups[0])}在{phrase_zh(groups[1])}的{lies}"
    else:
        short, told, has = (
            "，".join(f"{place}{verb}{phrase(group)}" for place, group in zip(places, groups, strict=True))
            for verb, phrase in (("", _short_zh), ("", phrase_zh), ("有", phrase_zh))
        )
    total = NUMBERS_ZH[len(truth.things)]
    return (
        f"{short}，{ground.removeprefix('模糊的')}",
        f"{ground}上，{has}。",
        f"{ground}上正好有{total}样东西，没有别的：{told}。",
    )


def ground_en(ground: Ground) -> str:
    """The ground with its article: "a blue background", "a blurred photograph of coffee"."""
    if ground.kind == "photo":
        return f"a blurred photograph of {ground.name}"
    return f"{english.article(ground.name)} {ground.name} background"


def ground_zh(ground: Ground) -> str:
    """The ground in Chinese."""
    if ground.kind == "photo":
        return f"模糊的{PHOTOS_ZH.get(ground.name, ground.name)}照片背景"
    return f"{COLOURS_ZH[ground.name]}背景"


def bare_en(group: Sequence[PlacedThing]) -> str:
    """What is there and how many, as one types it: "small red apple", "three pears"."""
    first = group[0]
    name = first.name_en if len(group) == 1 else english.plural(first.name_en)
    count = "" if len(group) == 1 else NUMBERS_EN[len(group)]
    return " ".join(filter(None, (count, first.size, first.colour, name)))


def phrase_en(group: Sequence[PlacedThing]) -> str:
    """The same with an article where one is due: "a small red apple", "three pears"."""
    bare = bare_en(group)
    return f"{english.article(bare)} {bare}" if len(group) == 1 else bare


def definite_en(group: Sequence[PlacedThing]) -> str:
    """The same as known already: "the red apple"."""
    return f"the {bare_en(group)}"


def placed_en(group: Sequence[PlacedThing]) -> str:
    """With the place, where it is stated."""
    place = group[0].place
    return f"{phrase_en(group)} {PLACES_EN[place]}" if place else phrase_en(group)


def phrase_zh(group: Sequence[PlacedThing]) -> str:
    """What is there and how many in Chinese: "一个小的红色苹果"."""
    first = group[0]
    return f"{NUMBERS_ZH[len(group)]}{first.counter_zh}{bare_zh(first)}"


def bare_zh(each: PlacedThing) -> str:
    """One thing in Chinese, without number and place."""
    size = f"{SIZES_ZH[each.size]}的" if each.size else ""
    colour = COLOURS_ZH[each.colour] if each.colour else ""
    return f"{size}{colour}{'的' if colour else ''}{each.name_zh}"


def _short_zh(group: Sequence[PlacedThing]) -> str:
    """As one types it: "绿色柠檬", "三个绿色柠檬"."""
    first = group[0]
    count = "" if len(group) == 1 else f"{NUMBERS_ZH[len(group)]}{first.counter_zh}"
    return f"{count}{SIZES_ZH.get(first.size, '')}{COLOURS_ZH[first.colour] if first.colour else ''}{first.name_zh}"


def listed_en(phrases: Sequence[str]) -> str:
    """The phrases as a list: "a, b and c"."""
    return " and ".join((", ".join(phrases[:-1]), phrases[-1])) if len(phrases) > 1 else phrases[0]


_RELATIONS_EN = {"left of": "to the left of", "above": "above"}
_RELATIONS_ZH = {"left of": "左边", "above": "上面"}
