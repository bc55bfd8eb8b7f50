"""Words for what the tables hold in codes: styles, skin tones, colours and kinds of things, in English and Chinese."""

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """One meaning in both languages."""

    en: str
    zh: str


class StyleWords(NamedTuple):
    """How a style of drawing is named and what marks it."""

    zh: str
    mark_en: str
    mark_zh: str


STYLES: Mapping[str, StyleWords] = {
    "flat": StyleWords("扁平", "without outlines", "没有描边"),
    "outlined": StyleWords("描边", "with dark outlines", "有深色描边"),
}

TONES_ZH: Mapping[str, str] = {
    "light": "浅肤色", "medium-light": "中浅肤色", "medium": "中等肤色", "medium-dark": "中深肤色", "dark": "深肤色",
}  # fmt: skip

COLOURS_ZH: Mapping[str, str] = {
    "light blue": "浅蓝色", "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色", "purple": "紫色",
    "pink": "粉色", "brown": "棕色", "black": "黑色", "white": "白色", "grey": "灰色",
}  # fmt: skip

KINDS: Mapping[str, Words] = {
    "food-fruit": Words("a fruit", "水果"), "food-vegetable": Words("a vegetable", "蔬菜"),
    "food-prepared": Words("prepared food", "食物"), "food-asian": Words("Asian food", "亚洲食物"),
    "food-sweet": Words("a sweet treat", "甜食"), "food-marine": Words("seafood", "海鲜"), "drink": Words("a drink", "饮品"),
    "dishware": Words("tableware", "餐具"), "animal-mammal": Words("a mammal", "哺乳动物"),
    "animal-bird": Words("a bird", "鸟类"), "animal-reptile": Words("a reptile", "爬行动物"),
    "animal-marine": Words("a sea animal", "海洋动物"), "animal-bug": Words("a small animal", "小虫"),
    "animal-amphibian": Words("an amphibian", "两栖动物"), "plant-flower": Words("a flower", "花卉"),
    "plant-other": Words("a plant", "植物"), "country-flag": Words("a flag", "旗帜"), "flag": Words("a flag", "旗帜"),
    "subdivision-flag": Words("a flag", "旗帜"), "hotel": Words("a travel item", "旅行用品"),
    "place-building": Words("a building", "建筑"), "place-geographic": Words("a landscape", "自然景观"),
    "place-map": Words("a map", "地图"), "place-other": Words("a place", "场所"),
    "place-religious": Words("a place of worship", "宗教场所"), "sky & weather": Words("", ""),
    "time": Words("a timepiece", "钟表与时间"), "transport-air": Words("a means of air transport", "空中交通"),
    "transport-ground": Words("a means of ground transport", "地面交通"),
    "transport-water": Words("a means of water transport", "水上交通"),
    "book-paper": Words("something to read or write on", "书籍纸张"), "clothing": Words("clothing", "服饰"),
    "computer": Words("computer equipment", "电脑设备"), "household": Words("a household item", "家居用品"),
    "light & video": Words("light or video equipment", "灯具与影像设备"), "lock": Words("a lock or key", "锁具"),
    "mail": Words("a postal item", "邮件用品"), "medical": Words("a medical item", "医疗用品"), "money": Words("money", "钱币"),
    "music": Words("a music item", "音乐用品"), "musical-instrument": Words("a musical instrument", "乐器"),
    "office": Words("an office item", "办公用品"), "other-object": Words("an object", "物品"),
    "phone": Words("a telephone device", "电话设备"), "science": Words("a scientific item", "科学用品"),
    "sound": Words("a sound device", "声音设备"), "tool": Words("a tool", "工具"),
    "writing": Words("a writing tool", "书写工具"), "body-parts": Words("a body part", "身体部位"),
    "family": Words("a group of people", "人群"), "hand-fingers-closed": Words("a hand sign", "手势"),
    "hand-fingers-open": Words("a hand sign", "手势"), "hand-fingers-partial": Words("a hand sign", "手势"),
    "hand-prop": Words("", ""), "hand-single-finger": Words("a hand sign", "手势"), "hands": Words("a hand sign", "手势"),
    "person": Words("a person", "人物"), "person-activity": Words("", ""),
    "person-fantasy": Words("a fantasy figure", "奇幻人物"), "person-gesture": Words("a person", "人物姿态"),
    "person-resting": Words("a person at rest", "休息的人"), "person-role": Words("", ""),
    "person-sport": Words("a person doing sport", "运动人物"), "person-symbol": Words("a symbol for people", "人物符号"),
    "cat-face": Words("a cat face", "猫脸表情"), "emotion": Words("", ""), "face-affection": Words("a face", "表情"),
    "face-concerned": Words("a face", "表情"), "face-costume": Words("a costumed figure", "扮装形象"),
    "face-glasses": Words("a face", "表情"), "face-hand": Words("a face", "表情"), "face-hat": Words("a face", "表情"),
    "face-negative": Words("a face", "表情"), "face-neutral-skeptical": Words("a face", "表情"),
    "face-sleepy": Words("a face", "表情"), "face-smiling": Words("a face", "表情"), "face-tongue": Words("a face", "表情"),
    "face-unwell": Words("a face", "表情"), "heart": Words("a heart symbol", "爱心符号"),
    "monkey-face": Words("a monkey", "猴子表情"), "hair-style": Words("a hairstyle", "发型"),
    "skin-tone": Words("a colour sample", "色块"), "alphanum": Words("a sign with letters", "文字标志"),
    "arrow": Words("an arrow", "箭头"), "av-symbol": Words("a player symbol", "播放符号"),
    "currency": Words("a money symbol", "货币符号"), "gender": Words("a gender symbol", "性别符号"),
    "geometric": Words("a plain shape", "几何图形"), "keycap": Words("a key", "按键"),
    "math": Words("a mathematical symbol", "数学符号"), "other-symbol": Words("a symbol", "符号"),
    "punctuation": Words("a punctuation mark", "标点符号"), "religion": Words("a religious symbol", "宗教符号"),
    "transport-sign": Words("a public sign", "公共标志"), "warning": Words("a warning sign", "警告标志"),
    "zodiac": Words("a zodiac sign", "星座符号"), "arts & crafts": Words("an arts and crafts item", "工艺美术"),
    "award-medal": Words("an award", "奖项"), "event": Words("a festive item", "节庆用品"),
    "game": Words("a game or toy", "游戏与玩具"), "sport": Words("a sports item", "运动用品"),
}  # fmt: skip
"""Noun phrases by subcategory; where there is none, or an empty one, captions leave the kind out."""


def tone_zh(tone: str) -> str:
    """Chinese words for a skin tone; "light and dark" for people who differ."""
    return "和".join(TONES_ZH[word] for word in tone.split(" and "))


def with_tone(name: Words, tone: str) -> Words:
    """A text that names the skin tone too: what a row's ``text_en`` and ``text_zh`` hold."""
    return Words(f"{name.en}, {tone} skin tone", f"{name.zh}，{tone_zh(tone)}" if name.zh else "") if tone else name


def without_tone(text: Words, tone: str) -> Words:
    """The inverse of `with_tone`."""
    if not tone:
        return text
    return Words(text.en.removesuffix(f", {tone} skin tone"), text.zh.removesuffix(f"，{tone_zh(tone)}"))
