"""Captions from structured facts: short, medium and long, in English and Chinese.

The facts are what a source states and what an edit did, so captions are true by construction; no model writes them. Levels
follow `curation.tables.CAPTION_LEVELS`: the short one is a phrase with everything that tells this picture from its edited
siblings (style first), the medium one a sentence, the long one adds the kind of thing, what marks the style, and the background.

A text that already is a sentence (a user's own caption) is kept as it is and only extended.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from curation.captions import english
from curation.captions.phrasing import phrased
from curation.captions.vocabulary import COLOURS_ZH, KINDS, STYLES, Words, tone_zh, without_tone

_WRITERS = ("facts.py", "english.py", "phrasing.py", "vocabulary.py", "scene_captions.py")
CAPTION_VERSION: str = hashlib.sha256(
    b"".join(Path(__file__).with_name(name).read_bytes() for name in _WRITERS)
).hexdigest()[:12]
"""Digest of the code that writes captions; rows captioned under another one are to be captioned again."""

_DERIVED = ("background", "mirrored", "layout", "control", "parts", "scene")
"""Fields that operations fill, not sources."""


class Facts(NamedTuple):
    """What is known of one picture. Empty strings: not known, or none."""

    name_en: str
    """What is shown, without its skin tone."""
    name_zh: str
    style: str
    category: str
    subcategory: str
    tone: str
    gender: str
    colour: str
    background: str = "white"
    """Colour word of the background."""
    mirrored: bool = False
    """Flipped from left to right."""
    layout: str = ""
    """How `parts` lie: "left_right" or "above_below", "" for a single picture."""
    control: str = ""
    """What a map shows of a picture: "canny" (edges), "hidden" (all but a region) or "mask" (the region); "" for a picture."""
    parts: tuple["Facts", ...] = ()
    """The two pictures pasted together; then the fields about a single thing are empty."""
    scene: str = ""
    """JSON of a composed scene (`models.perception.scene_truth`), which then says everything."""


def facts_of(row: Mapping[str, object]) -> Facts:
    """Facts of one row of ``images``, composed rows included (their derivation says all that is needed).

    Args:
        row: at least text_en, text_zh, style, category, subcategory, tone, gender, colour and derivation.
    """
    tone = str(row["tone"])
    bare = without_tone(Words(str(row["text_en"]), str(row["text_zh"])), tone)
    name = phrased(Words(bare.en.strip(), bare.zh.strip()), str(row["subcategory"]))
    plain = Facts(
        name.en, name.zh, str(row["style"]), str(row["category"]), str(row["subcategory"]),
        tone, str(row["gender"]), str(row["colour"]),
    )  # fmt: skip
    derivation = str(row["derivation"])
    return derived(plain, derivation) if derivation else plain


def derived(plain: Facts, derivation: str) -> Facts:
    """Facts after the operation that `derivation` (JSON, see `curation.edits.composing`) describes."""
    operation = json.loads(derivation)
    match operation["op"]:
        case "background":
            return plain._replace(background=operation["colour"])
        case "mirror":
            return plain._replace(mirrored=True)
        case "paste":
            parts = tuple(Facts(**part) for part in operation["parts"])
            return plain._replace(layout=operation["layout"], parts=parts)
        case "scene":
            return plain._replace(scene=derivation)
        case "canny" | "hidden" | "mask" as control:
            return plain._replace(control=control)
        case unknown:
            raise ValueError(
                f"derivation has operation {unknown!r}, which makes no picture that is known; compose the pairs again"
            )


def stated(facts: Facts) -> dict[str, str]:
    """The facts a source states, as they are written into a paste's derivation; `derived` reads them back."""
    return {name: value for name, value in facts._asdict().items() if name not in _DERIVED}


def captions_en(facts: Facts) -> tuple[str, str, str]:
    """Short, medium and long caption in English; three empty strings without a name."""
    if facts.scene:
        return _of_scene(facts.scene)[0]
    if facts.parts:
        return _pasted_en(facts)
    if facts.control:
        return _of_map_en(facts)
    if not facts.name_en:
        return ("", "", "")
    if english.is_sentence(facts.name_en):
        return _extended_en(facts)
    on = "" if facts.background == "white" else f" {_background_en(facts)}"
    style = f" in {facts.style} style" if facts.style else ""
    thing = english.capitalised(english.indefinite(thing_en(facts), adjective="mirrored" if facts.mirrored else ""))
    kind = _kind_en(facts)
    mark = f" {STYLES[facts.style].mark_en}" if facts.style in STYLES else ""
    aside = f", {kind}" if kind else ""
    drawn = f", drawn{style}{mark}," if style else ("," if kind else "")
    return (
        f"{subject_en(facts)}{on}",
        f"{thing}{style}{on}.",
        f"{thing}{aside}{drawn} {_background_en(facts)}.",
    )


def captions_zh(facts: Facts) -> tuple[str, str, str]:
    """Short, medium and long caption in Chinese; three empty strings without a Chinese name."""
    if facts.scene:
        return _of_scene(facts.scene)[1]
    if facts.parts:
        return _pasted_zh(facts)
    if facts.control:
        return _of_map_zh(facts)
    if not facts.name_zh:
        return ("", "", "")
    if english.is_sentence(facts.name_en):
        return _extended_zh(facts)
    on = "" if facts.background == "white" else f"，{_background_zh(facts)}"
    kind = KINDS.get(facts.subcategory)
    belongs = f"，属于{kind.zh}" if kind and kind.zh and kind.zh not in facts.name_zh else ""
    mark = f"{STYLES[facts.style].mark_zh}的" if facts.style in STYLES else ""
    style = f"{_style_zh(facts.style)}风格的" if facts.style else ""
    thing = subject_zh(facts._replace(style=""))
    return (
        f"{subject_zh(facts)}{on}",
        f"一幅{style}图画，画着{thing}{on}。",
        f"一幅{mark}{style}图画，画着{thing}{belongs}，{_background_zh(facts)}。",
    )


def subject_en(facts: Facts) -> str:
    """The thing with its style, without article: "flat red apple", "mirrored outlined dog"."""
    adjectives = " ".join(word for word in ("mirrored" if facts.mirrored else "", facts.style) if word)
    return f"{adjectives} {thing_en(facts)}".strip()


def thing_en(facts: Facts) -> str:
    """The thing without style or article, with colour and skin tone where its name does not say them."""
    colour = f"{facts.colour} " if facts.colour and facts.colour not in facts.name_en else ""
    name = english.spoken(facts.name_en)
    if not facts.tone:
        return f"{colour}{name}"
    joint = " and " if " with " in facts.name_en and " facing " not in facts.name_en else " with "
    tones = f"{facts.tone} skin tones" if " and " in facts.tone else f"{english.indefinite(facts.tone + ' skin tone')}"
    return f"{colour}{name}{joint}{tones}"


def subject_zh(facts: Facts) -> str:
    """The thing with its style in Chinese: "扁平风格的红苹果"."""
    style = f"{_style_zh(facts.style)}风格的" if facts.style else ""
    name = f"{'左右翻转的' if facts.mirrored else ''}{style}{facts.name_zh}"
    if not facts.tone:
        return name
    tone = tone_zh(facts.tone)
    return f"{name.removesuffix('）')}，{tone}）" if name.endswith("）") else f"{name}（{tone}）"


def target_caption_en(facts: Facts) -> str:
    """What can be seen, for scoring: the short caption, not saying that a picture is mirrored, which nobody can see."""
    return captions_en(facts._replace(mirrored=False))[0]


def _of_scene(derivation: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    from curation.captions import scene_captions  # heavy: the truth of scenes is a type of models, which imports torch

    return scene_captions.captions_of(derivation)


_MAPS: Mapping[str, tuple[Words, Words]] = {
    "canny": (Words("edges of {}", "{}的边缘"), Words("white lines on black", "黑底白线")),
    "hidden": (Words("part of {}", "{}的一部分"), Words("with a region painted grey", "有一块区域涂成灰色")),
    "mask": (Words("mask for a part of {}", "{}局部的遮罩"), Words("a white region on black", "黑底上的白色区域")),
}
"""What maps are called, and how they look."""


def _of_map_en(facts: Facts) -> tuple[str, str, str]:
    if not facts.name_en:
        return ("", "", "")
    called, looks = _MAPS[facts.control]
    text = called.en.format(_indefinite_subject(facts))
    return (text, f"{english.capitalised(text)}.", f"{english.capitalised(text)}, {looks.en}.")


def _of_map_zh(facts: Facts) -> tuple[str, str, str]:
    shown = captions_zh(facts._replace(control=""))[0]
    if not shown:
        return ("", "", "")
    called, looks = _MAPS[facts.control]
    text = called.zh.format(shown)
    return (text, f"{text}。", f"{text}，{looks.zh}。")


def _kind_en(facts: Facts) -> str:
    """The kind as an aside; left out when it says nothing, or says one of several things."""
    kind = KINDS.get(facts.subcategory, Words("", "")).en
    if not kind or kind.split()[-1] in facts.name_en.split():
        return ""
    return "" if kind.startswith(("a ", "an ")) and english.is_plural(facts.name_en) else kind


def _background_en(facts: Facts) -> str:
    return f"on {english.article(facts.background)} {facts.background} background"


def _background_zh(facts: Facts) -> str:
    return f"{COLOURS_ZH[facts.background]}背景"


def _style_zh(style: str) -> str:
    return STYLES[style].zh if style in STYLES else style


def _extended_en(facts: Facts) -> tuple[str, str, str]:
    text = facts.name_en.rstrip(" .")
    extra = [f"{facts.style} style"] if facts.style else []
    extra += ["mirrored"] if facts.mirrored else []
    extra += [] if facts.background == "white" else [_background_en(facts)]
    short = ", ".join([text, *extra])
    sentence = english.capitalised(short)
    ending = "" if sentence.endswith(("?", "!")) else "."
    return (short, f"{sentence}{ending}", f"{sentence}{ending}")


def _extended_zh(facts: Facts) -> tuple[str, str, str]:
    extra = [f"{_style_zh(facts.style)}风格"] if facts.style else []
    extra += ["左右翻转"] if facts.mirrored else []
    extra += [] if facts.background == "white" else [_background_zh(facts)]
    short = "，".join([facts.name_zh.rstrip("。 "), *extra])
    return (short, f"{short}。", f"{short}。")


def _pasted_en(facts: Facts) -> tuple[str, str, str]:
    first, second = facts.parts
    bare = [english.lowered(captions_en(part)[0]) for part in (first, second)]
    if not all(bare):
        return ("", "", "")
    things = [_indefinite_subject(part) for part in (first, second)]
    if facts.layout == "left_right":
        sentence = english.capitalised(f"{things[0]} on the left and {things[1]} on the right")
        return (
            f"{bare[0]} on the left, {bare[1]} on the right",
            f"{sentence}.",
            f"{sentence}, side by side {_background_en(facts)}.",
        )
    sentence = english.capitalised(f"{things[0]} above {things[1]}")
    return (f"{bare[0]} above {bare[1]}", f"{sentence}.", f"{sentence}, one over the other {_background_en(facts)}.")


def _indefinite_subject(facts: Facts) -> str:
    """The subject with its article, "a flat red apple"; a whole caption stays one."""
    if english.is_sentence(facts.name_en):
        return english.lowered(facts.name_en.rstrip(" ."))
    return english.indefinite(thing_en(facts), adjective=facts.style)


def _pasted_zh(facts: Facts) -> tuple[str, str, str]:
    first, second = facts.parts
    if not (first.name_zh and second.name_zh):
        return ("", "", "")
    places = ("左边", "右边") if facts.layout == "left_right" else ("上面", "下面")
    text = f"{places[0]}是{subject_zh(first)}，{places[1]}是{subject_zh(second)}"
    return (text, f"{text}。", f"一幅图画，{text}，{_background_zh(facts)}。")
