"""What an emoji's code points and dictionary name say about its picture.

A *key* is the code points in upper-case hex joined by "-", without the presentation selector FE0F: "1F469-1F3FD-200D-1F373". Both
art packages and the dictionary agree on it. From the key come skin tone, gender and concept; from the dictionary a name, which is
brought into a form that reads as a short picture caption ("flag of France", "man with red hair"). Names that say something other
than what both packages draw are repaired in one table.
"""

import re
from collections.abc import Mapping

from curation.captions.vocabulary import COLOURS_ZH, Words

TONES: Mapping[str, str] = {"1F3FB": "light", "1F3FC": "medium-light", "1F3FD": "medium", "1F3FE": "medium-dark", "1F3FF": "dark"}
JOINER = "200D"

_MEN = frozenset({"1F468", "2642", "1F474", "1F934", "1F385", "1F57A", "1FAC3", "1F46C"})
_WOMEN = frozenset({"1F469", "2640", "1F475", "1F478", "1F936", "1F483", "1F930", "1F46D"})
_NEUTRAL: Mapping[str, str] = {
    "1F468": "1F9D1", "1F469": "1F9D1",        # man, woman: person
    "1F474": "1F9D3", "1F475": "1F9D3",        # old man, old woman: older person
    "1F934": "1FAC5", "1F478": "1FAC5",        # prince, princess: person with crown
    "1F936": "1F385",                          # Mrs. Claus: Santa Claus
    "1F483": "1F57A",                          # woman dancing: man dancing
    "1F930": "1FAC4", "1FAC3": "1FAC4",        # pregnant woman, man: person
}  # fmt: skip
_COUPLE = "1F9D1-200D-1F91D-200D-1F9D1"
_SAME_CONCEPT: Mapping[str, str] = {
    "1F46B": _COUPLE, "1F46C": _COUPLE, "1F46D": _COUPLE,     # two people holding hands, as one code point
    "1F491": "1F9D1-200D-2764-200D-1F9D1",                    # couple with heart
    "1F48F": "1F9D1-200D-2764-200D-1F48B-200D-1F9D1",         # kiss
    "1F46F": "1F9D1-200D-1F430-200D-1F9D1",                   # people with bunny ears
    "1F93C": "1F9D1-200D-1FAEF-200D-1F9D1",                   # people wrestling
    "1FAF1-200D-1FAF2": "1F91D",                              # handshake of two tones
    "1F9D1-200D-1F384": "1F385",                              # Mx Claus
}  # fmt: skip
_UNSEEN_PARTS = frozenset({"2640", "2642", "27A1"})
"""Joined parts that change gender or direction but not what is shown."""

_TONE_EN = re.compile(r" (?:light|medium-light|medium-dark|medium|dark) skin tone")
_TONE_ZH = re.compile(r"[ ,、]?(?:较浅|中等浅|中等深|中等|较深)肤色")
_HAIR = {"red hair": "红发", "curly hair": "卷发", "white hair": "白发"}
_WITH_ARTICLE = re.compile(
    r"^(United|Bahamas|Gambia|Netherlands|Philippines|Maldives|Comoros|Seychelles|Isle of|Dominican Republic|Central African"
    r"|Caribbean Netherlands|European Union|French Southern|British Indian)|Islands$|Territories$"
)

REPAIRED: Mapping[str, tuple[str, str]] = {
    # food and drink: what both packages draw
    "1F373": ("fried egg in a pan", "平底锅煎蛋"), "1F36E": ("custard pudding", "布丁"), "1F9C9": ("mate drink", "马黛茶"),
    "1F376": ("sake bottle and cup", "清酒"), "1F375": ("cup of green tea", "绿茶"), "2615": ("cup of coffee", "热咖啡"),
    "1F943": ("glass of whiskey", "威士忌"), "1F964": ("cup with straw", "吸管杯"), "1F9C3": ("juice box", "盒装果汁"),
    "1F9CA": ("ice cube", "冰块"), "1F9C2": ("salt shaker", "盐罐"), "1F35C": ("bowl of noodles", "汤面"),
    "1F356": ("meat on a bone", "带骨肉"), "1F357": ("chicken leg", "鸡腿"), "1F366": ("soft ice cream cone", "甜筒冰淇淋"),
    "1F368": ("bowl of ice cream", "冰淇淋"), "1F33D": ("corn on the cob", "玉米"), "1F956": ("baguette", "法棍面包"),
    "1F958": ("pan of paella", "西班牙海鲜饭"), "1F372": ("pot of stew", "炖锅"), "1F36C": ("wrapped candy", "糖果"),
    "1F95E": ("stack of pancakes", "松饼"), "1F963": ("bowl with spoon", "碗和勺子"), "1F957": ("green salad", "蔬菜沙拉"),
    "1F36F": ("honey pot", "蜂蜜罐"), "1F370": ("slice of strawberry cake", "草莓蛋糕"), "1F967": ("pie", "馅饼"),
    "1F95A": ("egg", "鸡蛋"), "1F96F": ("bagel", "贝果"), "1F9C0": ("wedge of cheese", "奶酪"), "1F9C4": ("garlic", "大蒜"),
    "1F9C8": ("butter", "黄油"), "1FAD3": ("flatbread", "扁面包"), "1F95B": ("glass of milk", "一杯牛奶"),
    "1F377": ("glass of wine", "葡萄酒"), "1F378": ("cocktail glass", "鸡尾酒"), "1F37A": ("beer mug", "啤酒"),
    "1F37B": ("clinking beer mugs", "碰杯的啤酒"), "1F942": ("clinking glasses", "碰杯的香槟"),
    "1F37E": ("champagne bottle", "香槟酒"), "1F379": ("tropical drink", "热带饮料"),
    "1FAD7": ("liquid pouring from a glass", "倒出的液体"), "1F944": ("spoon", "勺子"), "1F374": ("fork and knife", "刀叉"),
    "1F37D": ("plate with fork and knife", "餐盘和刀叉"), "1F980": ("crab", "螃蟹"), "1F990": ("shrimp", "虾"),
    "1F991": ("squid", "鱿鱼"), "1FAD8": ("beans", "豆子"), "1F336": ("red chili pepper", "红辣椒"),
    "1F361": ("dango skewer", "团子串"), "1F362": ("oden skewer", "关东煮串"), "1F365": ("fish cake with swirl", "鱼板"),
    "1F35B": ("curry rice", "咖喱饭"), "1F35A": ("bowl of rice", "米饭"), "1F371": ("bento box", "便当盒"),
    "1FAD1": ("bell pepper", "甜椒"), "1F966": ("broccoli", "西兰花"), "1F32F": ("burrito", "墨西哥卷饼"),
    "1F32E": ("taco", "墨西哥塔可"), "1F95F": ("dumpling", "饺子"), "1F961": ("takeout box", "外卖盒"),
    "1FAD5": ("fondue pot", "奶酪火锅"), "1F95C": ("peanuts", "花生"), "1FAD2": ("olive", "橄榄"),
    "1F96C": ("leafy green vegetable", "绿叶菜"), "1F348": ("melon", "哈密瓜"), "1F37C": ("baby bottle", "奶瓶"),
    "1F358": ("rice cracker", "仙贝米饼"), "1F359": ("rice ball", "饭团"), "1F35D": ("plate of spaghetti", "意大利面"),
    "1FADA": ("ginger root", "生姜"),
    # animals and nature
    "1F41B": ("caterpillar", "毛毛虫"), "1F41E": ("ladybug", "瓢虫"), "1F41A": ("spiral seashell", "海螺"),
    "1F411": ("sheep", "绵羊"), "1F999": ("llama", "羊驼"), "1F995": ("sauropod dinosaur", "蜥脚龙"),
    "1F996": ("T-Rex dinosaur", "霸王龙"), "1F400": ("rat", "大老鼠"), "1F42D": ("mouse face", "老鼠头"),
    "1F43F": ("chipmunk", "花栗鼠"), "1F405": ("tiger", "老虎"), "1F402": ("ox", "公牛"), "1F9AC": ("bison", "野牛"),
    "1F98C": ("deer", "鹿"), "1F54A": ("white dove", "白鸽"), "1F985": ("eagle", "老鹰"), "1FABF": ("goose", "大鹅"),
    "1F414": ("chicken face", "鸡头"), "1F426-200D-2B1B": ("black bird", "黑鸟"),
    "1F425": ("front-facing baby chick", "正面小鸡"), "1F423": ("hatching chick", "破壳小鸡"), "1F422": ("turtle", "乌龟"),
    "1F42A": ("one-hump camel", "单峰骆驼"), "1F42B": ("two-hump camel", "双峰骆驼"), "1F9A0": ("microbe", "细菌"),
    "1F438": ("frog face", "青蛙头"), "1F43B": ("bear face", "熊头"), "1F43C": ("panda face", "熊猫头"),
    "1F428": ("koala", "考拉"), "1F43A": ("wolf face", "狼头"), "1F98A": ("fox face", "狐狸头"),
    "1F981": ("lion face", "狮子头"), "1F984": ("unicorn face", "独角兽头"), "1F439": ("hamster face", "仓鼠头"),
    "1F43B-200D-2744": ("polar bear", "北极熊"), "1FACE": ("moose face", "驼鹿头"), "1F43D": ("pig nose", "猪鼻子"),
    "1F33C": ("daisy blossom", "雏菊"), "1F33A": ("hibiscus", "木槿花"), "1F339": ("red rose", "红玫瑰"),
    "1F3F5": ("rosette flower", "蔷薇花饰"), "1F4AE": ("cherry blossom stamp", "樱花印章"), "1F331": ("seedling", "嫩芽"),
    "1F33E": ("sheaf of rice", "稻穗"), "1F33F": ("herb sprig", "香草"), "1F340": ("four leaf clover", "四叶草"),
    "1F342": ("fallen leaf", "落叶"), "1F343": ("green leaves in the wind", "风吹绿叶"), "1F341": ("maple leaf", "枫叶"),
    "1FABA": ("nest with eggs", "有蛋的鸟巢"), "1FAB9": ("empty nest", "空鸟巢"), "1F940": ("wilted rose", "枯萎的玫瑰"),
    "1FABB": ("hyacinth", "风信子"), "1FAB4": ("potted plant", "盆栽"), "1F344": ("red mushroom", "红蘑菇"),
    "1FABD": ("wing", "翅膀"), "1F577": ("spider", "蜘蛛"), "1F578": ("spider web", "蜘蛛网"), "1FAB0": ("fly", "苍蝇"),
    "1FAB8": ("coral", "珊瑚"), "1F421": ("blowfish", "河豚"), "1F433": ("spouting whale", "喷水的鲸鱼"),
    "1F40B": ("whale", "鲸鱼"), "1F9AE": ("guide dog", "导盲犬"), "1F415-200D-1F9BA": ("service dog", "服务犬"),
    # elsewhere: words that are not the name of a picture
    "1F947": ("gold medal", "金牌"), "1F948": ("silver medal", "银牌"), "1F949": ("bronze medal", "铜牌"),
    "1F170": ("letter A button", "A型血按钮"), "1F48B": ("lipstick kiss mark", "唇印"), "1F301": ("foggy city", "雾中城市"),
    "1F512": ("closed padlock", "合上的挂锁"), "1F513": ("open padlock", "打开的挂锁"),
    "1F50F": ("padlock with pen", "挂锁和钢笔"), "1F510": ("padlock with key", "挂锁和钥匙"),
    "1F4AB": ("dizzy stars", "眩晕的星星"), "1F4A8": ("puff of air", "一股烟"), "1F6AB": ("prohibition sign", "禁止标志"),
    "1F6AD": ("no smoking sign", "禁止吸烟标志"), "1F51E": ("no one under eighteen sign", "十八禁标志"),
    "1F6AF": ("no littering sign", "禁止乱扔垃圾标志"), "2622": ("radioactive sign", "辐射标志"),
    "2623": ("biohazard sign", "生物危害标志"), "26A0": ("warning sign", "警告标志"),
    "26D4": ("no entry sign", "禁止通行标志"), "26A1": ("lightning bolt", "闪电"), "2716": ("multiplication sign", "乘号"),
    "2795": ("plus sign", "加号"), "2796": ("minus sign", "减号"), "2797": ("division sign", "除号"),
    "2139": ("information sign", "信息标志"), "1F6DC": ("wireless sign", "无线信号标志"),
    "1F6C5": ("left luggage sign", "行李寄存标志"), "1F6C2": ("passport control sign", "护照检查标志"),
    "1F6C3": ("customs sign", "海关标志"), "1F6C4": ("baggage claim sign", "提取行李标志"),
    "1F6B8": ("children crossing sign", "儿童过街标志"), "1F4F4": ("mobile phone off sign", "手机关机标志"),
    "1F4F3": ("vibration mode sign", "振动模式标志"), "1F3A6": ("cinema sign", "电影标志"),
    "1F3B3": ("bowling ball and pins", "保龄球"), "1F923": ("face rolling on the floor laughing", "笑得满地打滚的表情"),
    "1F929": ("star-struck face", "星星眼表情"), "231B": ("hourglass", "沙漏"),
    "23F3": ("hourglass with flowing sand", "流沙的沙漏"), "1F5FB": ("Mount Fuji", "富士山"), "1F9B2": ("bald head", "秃顶"),
    "1F4C8": ("rising chart", "上升的图表"), "1F4C9": ("falling chart", "下降的图表"), "1F9F3": ("suitcase", "行李箱"),
    "1F4C0": ("DVD", "DVD光盘"), "1F932": ("hands with palms up together", "掌心向上的双手"),
    "1F4AF": ("hundred points", "一百分"), "1F6E4": ("railway track", "铁轨"), "1F4A4": ("letters ZZZ", "睡着的ZZZ"),
    "1F6C1": ("bathtub", "浴缸"), "26F0": ("mountain", "高山"), "1F53D": ("downwards button", "向下按钮"),
    "1F53C": ("upwards button", "向上按钮"), "1F4A9": ("pile of poo", "便便"), "1F46A": ("family", "家庭"),
    "1F1E8-1F1F6": ("flag of Sark", "萨克岛的旗帜"), "1F3FB": ("light skin tone swatch", "浅肤色色块"),
    "1F3FC": ("medium-light skin tone swatch", "中浅肤色色块"), "1F3FD": ("medium skin tone swatch", "中等肤色色块"),
    "1F3FE": ("medium-dark skin tone swatch", "中深肤色色块"), "1F3FF": ("dark skin tone swatch", "深肤色色块"),
}  # fmt: skip
"""Names by key, English and Chinese, where the dictionary's does not name the picture or is wrong."""


def key_of(code_points: str) -> str:
    """The key behind a file name or the dictionary's hex code points."""
    return "-".join(part for part in code_points.upper().split("-") if part != "FE0F")


def without_tones(key: str) -> str:
    """The key with its skin tones taken out; a tone swatch stays what it is."""
    return "-".join(part for part in key.split("-") if part not in TONES) or key


def tone_of(key: str) -> str:
    """The skin tone words of a key, "light and dark" when people differ, "" without any."""
    if key in TONES:
        return ""
    return " and ".join(dict.fromkeys(TONES[part] for part in key.split("-") if part in TONES))


def gender_of(key: str) -> str:
    """The word "man" or "woman" when everybody in the key is one, else ""."""
    parts = set(key.split("-"))
    men, women = bool(parts & _MEN), bool(parts & _WOMEN)
    return "" if men == women else ("man" if men else "woman")


def concept_of(key: str) -> str:
    """The key without tone, gender and direction: what splits are made by."""
    bare = without_tones(key)
    bare = _SAME_CONCEPT.get(bare, bare)
    parts = [_NEUTRAL.get(part, part) for part in bare.split(f"-{JOINER}-") if part not in _UNSEEN_PARTS]
    joined = f"-{JOINER}-".join(parts)
    return _SAME_CONCEPT.get(joined, joined)


def colour_of(name_en: str) -> str:
    """The colour word of a name; hair and flags of countries do not count."""
    if "hair" in name_en or name_en.startswith("flag of"):
        return ""
    found = re.search(rf"\b({'|'.join(COLOURS_ZH)})\b", name_en)
    return found.group(1) if found else ""


def name_of(key: str, dictionary: Mapping[str, Words]) -> Words:
    """The name of what `key` shows, as a short caption, without its skin tone.

    Args:
        key: a key of the dictionary.
        dictionary: names by key, words separated by spaces.
    """
    bare = without_tones(key)
    if bare in REPAIRED:
        return Words(*REPAIRED[bare])
    raw = dictionary.get(bare) or dictionary[key]
    en = re.sub(r" ?\([^)]*\)", "", _TONE_EN.sub("", raw.en)).strip()
    zh = re.sub(r" ?\([^)]*\)", "", _TONE_ZH.sub("", raw.zh)).strip()
    if _is_flag(bare):
        country = f"the {en}" if _WITH_ARTICLE.search(en) else en
        return Words(f"flag of {country}".replace("&", "and"), f"{zh.replace(' ', '')}的旗帜")
    if en.endswith(("o’clock", "-thirty")):
        return Words(f"clock showing {en}", f"{zh}的时钟")
    return _person(en, zh)


def _is_flag(key: str) -> bool:
    parts = key.split("-")
    is_country = len(parts) == 2 and all("1F1E6" <= part <= "1F1FF" for part in parts)
    return is_country or (len(parts) > 2 and parts[-1] == "E007F")


def _person(en: str, zh: str) -> Words:
    """Dictionary names of people, which list words, made into phrases."""
    for hair, hair_zh in _HAIR.items():
        if en.endswith(f" {hair}"):
            return Words(f"{en.removesuffix(f' {hair}')} with {hair}", f"{hair_zh}的{zh.split(' ')[0]}")
    if en.endswith(" bald"):
        return Words(f"bald {en.removesuffix(' bald')}", f"秃顶的{zh.split(' ')[0]}")
    if en.endswith((" beard", " blond hair")):
        person, feature = en.split(" ", 1)
        blond_zh = {"金发男": "金发的男人", "金发女": "金发的女人"}
        return Words(f"{person} with {'a ' if feature == 'beard' else ''}{feature}", blond_zh.get(zh, zh))
    for group in ("family", "couple with heart", "kiss"):
        if en.startswith((f"{group} man", f"{group} woman", f"{group} adult")):
            return _group(group, en.removeprefix(f"{group} ").split(" "), zh)
    return Words(en.replace("breast-feeding", "woman breast-feeding a baby"), _doer_zh(en, zh))


def _group(group: str, members: list[str], zh: str) -> Words:
    listed = members[0] if len(members) == 1 else f"{', '.join(members[:-1])} and {members[-1]}"
    head, _, people = zh.partition(" ")
    return Words(f"{group.replace('couple with heart', 'loving couple')} of {listed}", f"{head}（{people}）" if people else head)


def _doer_zh(en: str, zh: str) -> str:
    """Chinese names of people doing something are often the bare activity: made into the person who does it."""
    for prefix, doer in (("女生", "女生"), ("男生", "男生")):
        if zh.startswith(prefix) and len(zh) > len(prefix):
            rest = zh.removeprefix(prefix)
            return f"面向右边{rest.removesuffix('面向右边')}的{doer}" if rest.endswith("面向右边") else f"{rest}的{doer}"
    if en.startswith("person ") and not re.search("人|者|手|员", zh):
        return f"{zh}的人"
    return zh.replace(" ", "")
