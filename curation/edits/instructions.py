"""What a person would say to ask for an edit, at three levels of detail, in English and Chinese.

Levels follow `curation.tables.CAPTION_LEVELS`: a few words, a request, and a request that names the picture and what to keep.
"""

from typing import NamedTuple

from curation.captions import english
from curation.captions.facts import Facts, captions_en, captions_zh, subject_en, subject_zh, thing_en
from curation.captions.vocabulary import COLOURS_ZH, STYLES, tone_zh

Levels = tuple[str, str, str]


class Instructions(NamedTuple):
    """Three levels in each language; the Chinese ones are empty strings where a Chinese name is missing."""

    en: Levels
    zh: Levels


def restyle(before: Facts, after: Facts) -> Instructions:
    """Ask for another style of drawing."""
    style_zh = STYLES[after.style].zh if after.style in STYLES else after.style
    mark = f", {STYLES[after.style].mark_en}" if after.style in STYLES else ""
    mark_zh = f"，{STYLES[after.style].mark_zh}" if after.style in STYLES else ""
    return Instructions(
        (f"{after.style} style", f"Redraw it in {after.style} style.", f"Redraw {_the(before)} in {after.style} style{mark}."),
        _zh(before, f"{style_zh}风格", f"改成{style_zh}风格。", f"把{subject_zh(before)}改画成{style_zh}风格{mark_zh}。"),
    )


def rebackground(before: Facts, after: Facts) -> Instructions:
    """Ask for another background colour."""
    colour, colour_zh = after.background, COLOURS_ZH[after.background]
    a_colour = f"{english.article(colour)} {colour}"
    return Instructions(
        (
            f"{colour} background",
            f"Change the background to {colour}.",
            f"Put {_the(before)} on {a_colour} background and keep everything else.",
        ),
        _zh(
            before, f"{colour_zh}背景", f"把背景换成{colour_zh}。", f"把{subject_zh(before)}放在{colour_zh}背景上，其他保持不变。"
        ),
    )


def mirror(before: Facts) -> Instructions:
    """Ask for the picture flipped from left to right."""
    return Instructions(
        ("mirror it", "Flip the picture horizontally.", f"Mirror {_the(before)} from left to right and keep everything else."),
        _zh(before, "左右翻转", "把图片水平翻转。", f"把{subject_zh(before)}左右翻转，其他保持不变。"),
    )


def retone(before: Facts, after: Facts) -> Instructions:
    """Ask for another skin tone, or for none (the yellow of the drawings)."""
    if not after.tone:
        return Instructions(
            (
                "default yellow skin",
                "Change the skin to the default yellow.",
                f"Give {_the(before)} the default yellow skin and keep everything else.",
            ),
            _zh(before, "默认黄色皮肤", "把肤色换成默认的黄色。", f"把{subject_zh(before)}的肤色换成默认的黄色，其他保持不变。"),
        )
    tone, zh = after.tone, tone_zh(after.tone)
    untoned = before._replace(tone="")
    return Instructions(
        (
            f"{tone} skin tone",
            f"Change the skin tone to {tone}.",
            f"Give {_the(untoned)} a {tone} skin tone and keep everything else.",
        ),
        _zh(before, zh, f"把肤色换成{zh}。", f"把{subject_zh(untoned)}的肤色换成{zh}，其他保持不变。"),
    )


def regender(before: Facts, after: Facts) -> Instructions:
    """Ask for a man in place of a woman, or the other way round."""
    old, new = before.name_en, english.indefinite(after.name_en)
    return Instructions(
        (f"make it {new}", f"Turn the {old} into {new}.", f"Turn the {subject_en(before)} into {new} and keep everything else."),
        _zh(
            before,
            f"换成{after.name_zh}",
            f"把{before.name_zh}变成{after.name_zh}。",
            f"把{subject_zh(before)}变成{after.name_zh}，其他保持不变。",
        ),
    )


def recolour(before: Facts, after: Facts, *, thing: str) -> Instructions:
    """Ask for another colour; `thing` is the name without its colour word."""
    old_zh, new_zh = COLOURS_ZH[before.colour], COLOURS_ZH[after.colour]
    return Instructions(
        (
            f"make it {after.colour}",
            f"Make the {thing} {after.colour}.",
            f"Change the colour of the {thing} from {before.colour} to {after.colour} and keep everything else.",
        ),
        _zh(before, f"变成{new_zh}", f"把它变成{new_zh}。", f"把{subject_zh(before)}从{old_zh}变成{new_zh}，其他保持不变。"),
    )


def arrange(first: Facts, second: Facts, pasted: Facts) -> Instructions:
    """Ask for two pictures in one; `pasted` says how they lie."""
    is_row = pasted.layout == "left_right"
    places = ("on the left", "on the right") if is_row else ("at the top", "at the bottom")
    places_zh = ("左边", "右边") if is_row else ("上面", "下面")
    names = [_the_name(facts) for facts in (first, second)]
    subjects = [_the(facts) for facts in (first, second)]
    return Instructions(
        (
            f"{_bare(first, 'first picture')} {places[0]}, {_bare(second, 'second picture')} {places[1]}",
            f"Put {names[0]} {places[0]} and {names[1]} {places[1]}.",
            f"Combine the two pictures into one: {subjects[0]} {places[0]} and {subjects[1]} {places[1]}, on a white background.",
        ),
        _zh_all(
            (first, second),
            f"{first.name_zh}在{places_zh[0]}，{second.name_zh}在{places_zh[1]}",
            f"把{first.name_zh}放在{places_zh[0]}，把{second.name_zh}放在{places_zh[1]}。",
            f"把两张图合成一张：{places_zh[0]}是{subject_zh(first)}，{places_zh[1]}是{subject_zh(second)}，白色背景。",
        ),
    )


def follow_edges(target: Facts) -> Instructions:
    """Ask for the picture that has these edges; `target` has a name."""
    en, zh = captions_en(target), captions_zh(target)
    return Instructions(
        (
            f"follow these edges: {en[0]}",
            f"Follow these edges: {english.lowered(en[1])}",
            f"Draw what these white lines are the edges of, line by line: {english.lowered(en[2])}",
        ),
        _zh(
            target, f"按照这些边缘线画：{zh[0]}", f"按照这些边缘线画图：{zh[1]}",
            f"白线是图像的边缘，请严格沿着这些线作画：{zh[2]}",
        ),
    )  # fmt: skip


def fill_in(target: Facts) -> Instructions:
    """Ask for what is painted out in the first picture, and white in the second."""
    en, zh = captions_en(target), captions_zh(target)
    return Instructions(
        (
            "fill in what is hidden",
            f"Fill in the grey region of the picture: {english.lowered(en[1])}",
            f"The second picture shows in white what is painted grey in the first. Fill it in and keep everything else: "
            f"{english.lowered(en[2])}",
        ),
        _zh(
            target, "补全被遮住的部分", f"补全图中的灰色区域：{zh[1]}",
            f"第二张图用白色标出了第一张图里涂成灰色的部分。把它补全，其他保持不变：{zh[2]}",
        ),
    )  # fmt: skip


def join(parts: tuple[Facts, ...], whole: Facts) -> Instructions:
    """Ask for the one thing that several pictures make together: a bear and a snowflake, a polar bear."""
    made = english.indefinite(whole.name_en)
    listed = " and ".join(f"the {facts.name_en}" for facts in parts)
    listed_zh = "和".join(facts.name_zh for facts in parts)
    return Instructions(
        (
            f"combine into {made}",
            f"Combine {listed} into {made}.",
            f"Combine {listed} into one picture in {whole.style} style that shows {english.indefinite(thing_en(whole))}.",
        ),
        _zh_all(
            (*parts, whole),
            f"合成{whole.name_zh}",
            f"把{listed_zh}合成{whole.name_zh}。",
            f"把{listed_zh}合成一张图：{captions_zh(whole)[0]}。",
        ),
    )


def _the(facts: Facts) -> str:
    """The subject as known, "the flat red apple"; "the picture" when its text is a whole caption or missing."""
    if not facts.name_en or english.is_sentence(facts.name_en):
        return "the picture"
    return f"the {subject_en(facts)}"


def _the_name(facts: Facts) -> str:
    return english.definite(facts.name_en) if facts.name_en else "the picture"


def _bare(facts: Facts, otherwise: str) -> str:
    return otherwise if not facts.name_en or english.is_sentence(facts.name_en) else facts.name_en


def _zh(facts: Facts, *levels: str) -> Levels:
    return _zh_all((facts,), *levels)


def _zh_all(facts: tuple[Facts, ...], *levels: str) -> Levels:
    short, medium, long = levels
    return (short, medium, long) if all(each.name_zh for each in facts) else ("", "", "")
