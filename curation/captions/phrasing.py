"""Names as dictionaries list them, made into phrases that read well in a caption: articles, people counted, faces called faces.

Dictionary names leave words out ("man bouncing ball", "无语" for an expressionless face). Rules stand beside the few names that
no rule fits. A name that no rule knows stays as it is, so names of other sources pass through.
"""

import re
from collections.abc import Mapping

from curation.captions.english import article
from curation.captions.vocabulary import Words

_ARTICLE_EN = re.compile(
    r"\b(?P<before>bouncing|feeding|getting|raising|tipping|wearing|rowing|taking"
    r"|in|with|without|behind(?= (?:cloud|large|small|rain))|over(?= mouth)) "
    r"(?P<noun>ball|baby|haircut|massage|hand|turban|boat|bath|(?:manual |motorized )?wheelchair|steamy room|tuxedo|suit"
    r"|veil|white cane|crown|skullcap|headscarf|heart|ballot|slash|spoon|hearing aid|head-bandage|medical mask|monocle"
    r"|raised eyebrow|diagonal mouth|open mouth|mouth|peeking eye|thermometer|halo|tear|wry smile|arrow|ribbon|flash|garden"
    r"|decorative cover|lowered flag|raised flag|key|pen|curl|swirl|straw|face|umbrella|hole|speech bubble"
    r"|(?:large |small |rain )?cloud)(?=$| facing| levitating| over| with)"
)
_MEMBERS_EN = re.compile(r"^(?P<group>family|kiss|loving couple) of (?P<members>(?:adult|man|woman|child|boy|girl)\b.*)$")
_PLURALS_EN: Mapping[str, str] = {
    "adult": "adults", "man": "men", "woman": "women", "child": "children", "boy": "boys", "girl": "girls",
}  # fmt: skip
_NUMBERS_EN = ("", "a", "two", "three", "four")
_NUMBERS_ZH = ("", "一", "两", "三", "四")
_WHOLE_EN: Mapping[str, str] = {
    "kiss person person": "kiss of two people", "couple with heart person person": "loving couple of two people",
    "face with tongue": "face with its tongue out", "squinting face with tongue": "squinting face with its tongue out",
    "winking face with tongue": "winking face with its tongue out", "umbrella on ground": "umbrella on the ground",
    "face with steam from nose": "face with steam from its nose",
    "face with symbols on mouth": "face with symbols over its mouth", "globe showing Americas": "globe showing the Americas",
    "man in lotus position": "man in the lotus position", "woman in lotus position": "woman in the lotus position",
    "person in lotus position": "person in the lotus position", "chart increasing with yen": "rising chart with a yen sign",
    "check box with check": "check box with a check mark", "nail polish": "hand with nail polish",
    "selfie": "hand taking a selfie", "no bicycles": "no bicycles sign", "no mobile phones": "no mobile phones sign",
    "no pedestrians": "no pedestrians sign", "potable water": "potable water sign",
    "non-potable water": "non-potable water sign", "input numbers": "input numbers button",
    "input symbols": "input symbols button", "copyright": "copyright sign", "registered": "registered sign",
    "trade mark": "trade mark sign", "memo": "memo with a pencil", "input latin letters": "input Latin letters button",
    "input latin lowercase": "input Latin lowercase button", "input latin uppercase": "input Latin uppercase button",
    "latin cross": "Latin cross", "speaker high volume": "speaker at high volume", "speaker low volume": "speaker at low volume",
    "speaker medium volume": "speaker at medium volume", "om": "om symbol", "kaaba": "Kaaba", "hindu temple": "Hindu temple",
    "milky way": "Milky Way",
}  # fmt: skip

_WHOLE_ZH: Mapping[str, str] = {
    "兔先生": "戴兔耳朵的男人们", "兔女郎": "戴兔耳朵的女人们", "举起拳头": "举起的拳头", "亲吻成人成人": "亲吻的两个人",
    "情侣成人成人": "情侣（两个人）", "亲吻": "亲吻的情侣", "OK手势男": "做OK手势的男人", "OK手势女": "做OK手势的女人",
    "OK手势": "做OK手势的人", "禁止手势男": "做禁止手势的男人", "禁止手势女": "做禁止手势的女人", "禁止手势": "做禁止手势的人",
    "皱眉男": "皱眉的男人", "皱眉女": "皱眉的女人", "撅嘴男": "撅嘴的男人", "撅嘴女": "撅嘴的女人", "前台男": "摊手的男人",
    "前台女": "摊手的女人", "前台的人": "摊手的人", "举手": "举手的人", "侧手翻": "侧手翻的人", "手球": "打手球的人",
    "水球的人": "打水球的人", "说话": "说话的头像", "母乳喂养": "母乳喂养的女人", "西装革履的人": "穿着西装悬浮的人",
    "仙人": "男精灵", "怒": "愤怒符号", "版权": "版权标志", "注册": "注册商标标志", "商标": "商标标志", "置顶": "TOP箭头",
    "AB型血": "AB型血按钮", "B型血": "B型血按钮", "O型血": "O型血按钮", "非礼勿听": "捂住耳朵的猴子",
    "非礼勿视": "捂住眼睛的猴子", "非礼勿言": "捂住嘴巴的猴子", "亲亲猫": "亲吻的猫", "涂指甲油": "涂指甲油的手",
    "自拍": "自拍的手", "写字": "写字的手", "举白旗": "白旗", "心跳": "跳动的心", "心碎": "破碎的心", "心中箭了": "中箭的心",
    "修复受伤的心灵": "正在修补的心", "无待收信件": "放下旗子的关闭的信箱", "有待收信件": "竖起旗子的关闭的信箱",
    "无新信件": "放下旗子的打开的信箱", "有新信件": "竖起旗子的打开的信箱", "收邮件": "带箭头的信封", "雷阵雨": "闪电下雨的云",
    "打雷": "带闪电的云", "下雨": "下雨的云", "下雪": "下雪的云", "阴": "云后的太阳", "多云": "大片云后的太阳",
    "晴转雨": "雨云后的太阳", "晴偶有云": "小片云后的太阳", "大风": "吹风的脸", "禁止响铃": "打叉的铃铛", "宝宝": "婴儿标志",
    "倒垃圾": "倒垃圾标志", "饮用水": "饮用水标志", "非饮用水": "非饮用水标志", "禁止自行车": "禁止自行车标志",
    "禁止使用手机": "禁止使用手机标志", "禁止行人通行": "禁止行人通行标志", "施工": "施工路障", "航班降落": "降落的飞机",
    "航班起飞": "起飞的飞机", "兵": "国际象棋的兵", "美元": "美元钞票", "英镑": "英镑钞票", "日元": "日元钞票",
    "电池电量不足": "电量不足的电池", "表演艺术": "戏剧面具",
}  # fmt: skip
_WHOLE_BOTH: Mapping[tuple[str, str], str] = {
    ("skis", "滑雪"): "滑雪板", ("snowboarder", "滑雪板"): "单板滑雪的人", ("ice skate", "滑冰"): "冰鞋",
    ("euro banknote", "欧元"): "欧元钞票", ("man feeding baby", "哺乳的男人"): "给婴儿喂奶的男人",
    ("woman feeding baby", "哺乳的女人"): "给婴儿喂奶的女人", ("person feeding baby", "哺乳的人"): "给婴儿喂奶的人",
}  # fmt: skip
_FACE_ENDS_ZH = re.compile(r"(?:笑脸|子脸|丑脸|帽脸|线脸|的脸|倒脸|冷脸|表情|恶魔|骷髅|头骨|天使)$")
_HAND_ENDS_ZH = re.compile(r"(?:手势|拳头|食指|手背|手掌|的手指|的手|双手)$")
_MEMBERS_ZH = re.compile(r"（((?:男人|女人|男孩|女孩){2,})）")


def phrased(name: Words, subcategory: str) -> Words:
    """The name as a phrase, in both languages; an empty one stays empty."""
    return Words(_phrased_en(name.en), _phrased_zh(name, subcategory))


def _phrased_en(name: str) -> str:
    if name in _WHOLE_EN:
        return _WHOLE_EN[name]
    members = _MEMBERS_EN.match(name)
    if members:
        return f"{members['group']} of {_counted(re.split(r', | and ', members['members']))}"
    return _ARTICLE_EN.sub(lambda found: f"{found['before']} {article(found['noun'])} {found['noun']}", name)


def _counted(members: list[str]) -> str:
    """People of a group by kind: "a man, a woman and two girls"."""
    kinds = list(dict.fromkeys(members))
    counts = [members.count(kind) for kind in kinds]
    parts = [
        f"{article(kind)} {kind}" if count == 1 else f"{_NUMBERS_EN[count]} {_PLURALS_EN[kind]}"
        for kind, count in zip(kinds, counts, strict=True)
    ]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _phrased_zh(name: Words, subcategory: str) -> str:
    zh = name.zh
    known = _WHOLE_BOTH.get((name.en, zh)) or _WHOLE_ZH.get(zh)
    if not zh or known:
        return known or ""
    if zh.endswith("面向右边"):
        return f"面向右边的{zh.removesuffix('面向右边')}"
    if name.en.startswith("Japanese ") and name.en.endswith(" button"):
        return f"写着“{zh}”的按钮"
    if subcategory.startswith("face-") and subcategory != "face-costume" and not _FACE_ENDS_ZH.search(zh):
        return f"{zh}的表情"
    if subcategory.startswith("hand") and not _HAND_ENDS_ZH.search(zh):
        return f"{zh}手势" if zh == "OK" else f"{zh}的手势"
    return _MEMBERS_ZH.sub(lambda found: f"（{_listed_zh(found.group(1))}）", zh)


def _listed_zh(members: str) -> str:
    people = re.findall("..", members)
    parts = [kind if people.count(kind) == 1 else f"{_NUMBERS_ZH[people.count(kind)]}个{kind}" for kind in dict.fromkeys(people)]
    return parts[0] if len(parts) == 1 else f"{'、'.join(parts[:-1])}和{parts[-1]}"
