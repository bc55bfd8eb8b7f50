"""What is asked for in edits, compositions and sets of scenes: three levels in English and Chinese, true by construction."""

from collections.abc import Sequence

from curation.captions.scene_captions import (
    NUMBERS_EN,
    NUMBERS_ZH,
    PLACES_EN,
    PLACES_ZH,
    bare_en,
    bare_zh,
    definite_en,
    ground_en,
    ground_zh,
    listed_en,
    phrase_en,
    phrase_zh,
    placed_en,
)
from curation.captions.vocabulary import COLOURS_ZH
from curation.edits.instructions import Instructions
from models.perception.scene_truth import Ground, Place, PlacedThing, SceneTruth, centre_of, place_at

_KEEP_EN, _KEEP_ZH = " and keep everything else.", "，其他保持不变。"


def add(thing: PlacedThing) -> Instructions:
    """Ask for one thing more."""
    assert thing.place, thing
    en, zh = f"add {placed_en([thing])}", f"{PLACES_ZH[thing.place]}加上{phrase_zh([thing])}"
    return _levels(en, zh)


def remove(thing: PlacedThing, scene: SceneTruth) -> Instructions:
    """Ask for a thing to be taken away."""
    return _levels(f"remove {_which_en(thing, scene)}", f"去掉{_which_zh(thing, scene)}")


def replace(thing: PlacedThing, other: PlacedThing, scene: SceneTruth) -> Instructions:
    """Ask for another thing at a thing's place."""
    en = f"replace {_which_en(thing, scene)} with {phrase_en([other])}"
    return _levels(en, f"把{_which_zh(thing, scene)}换成{phrase_zh([other])}")


def recolour(thing: PlacedThing, colour: str, scene: SceneTruth) -> Instructions:
    """Ask for a thing in another colour."""
    return _levels(f"make {_which_en(thing, scene)} {colour}", f"把{_which_zh(thing, scene)}变成{COLOURS_ZH[colour]}")


def move(thing: PlacedThing, place: Place, scene: SceneTruth) -> Instructions:
    """Ask for a thing elsewhere."""
    where = PLACES_EN[place].replace("in the", "to the").replace("on the", "to the").replace("at the", "to the")
    return _levels(f"move {_which_en(thing, scene)} {where}", f"把{_which_zh(thing, scene)}移到{PLACES_ZH[place]}")


def gather(things: Sequence[PlacedThing], ground: Ground) -> Instructions:
    """Ask for the things of several pictures in one."""
    names = [f"the {bare_en([each])}" for each in things]
    placed = [f"{name} {PLACES_EN[each.place]}" if each.place else name for name, each in zip(names, things, strict=True)]
    asked_zh = f"把{_put_zh(things)}"
    num, num_zh = NUMBERS_EN[len(things)], NUMBERS_ZH[len(things)]
    on, on_zh = ground_en(ground), ground_zh(ground)
    return Instructions(
        (
            f"{', '.join(' '.join(filter(None, (bare_en([each]), each.place))) for each in things)}, {ground.name} background",
            f"Put {listed_en(placed)} on {on}.",
            f"Combine the {num} pictures into one on {on}, each thing once: {listed_en(placed)}.",
        ),
        (
            f"{asked_zh}，{on_zh}",
            f"在{on_zh}上，{asked_zh}。",
            f"把{num_zh}张图合成一张，用{on_zh}，每样东西只出现一次：{asked_zh}。",
        ),
    )


def on_grounds(thing: PlacedThing, grounds: Sequence[Ground]) -> Instructions:
    """Ask for one picture on each of several grounds."""
    names, names_zh = [each.name for each in grounds], "、".join(ground_zh(each) for each in grounds)
    num, num_zh = NUMBERS_EN[len(grounds)], NUMBERS_ZH[len(grounds)]
    name, name_zh, order = bare_en([thing]), bare_zh(thing), ", then on ".join(names)
    return Instructions(
        (
            f"the same {name} on {', '.join(names)}",
            f"Show the same {name} in {num} pictures: on {listed_en(names)}.",
            f"Make {num} pictures of the same {name} that differ in the background alone: first on {order}.",
        ),
        (
            f"同样的{name_zh}，{names_zh}",
            f"用{num_zh}张图展示同样的{name_zh}：{names_zh}。",
            f"画{num_zh}张只有背景不同的图，都是同样的{name_zh}，依次是{names_zh}。",
        ),
    )


def growing(thing: PlacedThing) -> Instructions:
    """Ask for a thing that grows from picture to picture."""
    name, name_zh = bare_en([thing]), bare_zh(thing)
    return Instructions(
        (
            f"{name} growing in three steps",
            f"Show the {name} growing: small, medium-sized, large.",
            f"Make three pictures of the same {name} that grows: small, then medium-sized, then large, nothing else changed.",
        ),
        (
            f"{name_zh}越来越大，三张图",
            f"展示{name_zh}变大的过程：小、中、大。",
            f"画三张图，同样的{name_zh}先是小的，然后中等，最后是大的，其他都不变。",
        ),
    )


def one_more_each(things: Sequence[PlacedThing]) -> Instructions:
    """Ask for a sequence in which one thing joins in each picture."""
    phrases, phrases_zh = [phrase_en([each]) for each in things], [phrase_zh([each]) for each in things]
    placed, num, num_zh = [placed_en([each]) for each in things], NUMBERS_EN[len(things)], NUMBERS_ZH[len(things)]
    places_zh = [PLACES_ZH[each.place] if each.place else "" for each in things]
    placed_zh = [f"{place}{phrase}" for place, phrase in zip(places_zh, phrases_zh, strict=True)]
    return Instructions(
        (
            f"one more in each picture: {', '.join(phrases)}",
            f"Make {num} pictures in which one thing is added each time: {', then '.join(placed)}.",
            f"Make a sequence of {num} pictures, each with all of the one before and one thing more: {', then '.join(placed)}.",
        ),
        (
            f"每张图多一样：{'、'.join(phrases_zh)}",
            f"画{num_zh}张图，每次多一样东西：{'，然后'.join(placed_zh)}。",
            f"画一组{num_zh}张的连续图片，每张保留前一张的全部内容，再加一样：{'，然后'.join(placed_zh)}。",
        ),
    )


def _levels(en: str, zh: str) -> Instructions:
    return Instructions(
        (en, f"{en[:1].upper()}{en[1:]}.", f"{en[:1].upper()}{en[1:]}{_KEEP_EN}"), (zh, f"{zh}。", f"{zh}{_KEEP_ZH}")
    )


def _put_zh(things: Sequence[PlacedThing]) -> str:
    if not all(each.place for each in things):
        return f"{'、'.join(bare_zh(each) for each in things)}放在一起"
    return "，".join(f"{bare_zh(each)}放在{PLACES_ZH[each.place]}" for each in things if each.place)


def _is_alone(thing: PlacedThing, scene: SceneTruth) -> bool:
    """Whether its name tells it from all others."""
    return sum(each.thing == thing.thing for each in scene.things) == 1


def named_place(thing: PlacedThing, scene: SceneTruth) -> frozenset[tuple[str, str, str]]:
    """The combination of a thing and its place, where an instruction has to name it to say which one is meant."""
    return frozenset() if _is_alone(thing, scene) else frozenset({(thing.thing, "place", _place_of(thing, scene))})


def _which_en(thing: PlacedThing, scene: SceneTruth) -> str:
    if _is_alone(thing, scene):
        return definite_en([thing])
    return f"the {bare_en([thing])} {PLACES_EN[_place_of(thing, scene)]}"


def _which_zh(thing: PlacedThing, scene: SceneTruth) -> str:
    return bare_zh(thing) if _is_alone(thing, scene) else f"{PLACES_ZH[_place_of(thing, scene)]}的{bare_zh(thing)}"


def _place_of(thing: PlacedThing, scene: SceneTruth) -> Place:
    return place_at(*centre_of(thing.box, scene.size_px))
