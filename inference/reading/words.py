"""Words, stems, kinds of names and numbers, and what kind of answer a question asks for.

Pure text; knows no model and no index. English and Chinese (simplified and traditional) are known, other
languages in Latin script fall back to plain words. The stemmer is deliberately light: it must fold a
question's "founded" and a passage's "founding" together, not produce dictionary words.
"""

# ruff: noqa: E501 - a pattern is read in one piece

from __future__ import annotations

import re
from functools import lru_cache

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff"
TOKEN = re.compile(rf"[{_CJK}]|\d+(?:[.,:/\-]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?|[%$€£¥]")
_CJK_CHAR = re.compile(rf"[{_CJK}]")

STOP = frozenset(
    """a an the of and or in on at to for from by with as is are was were be been being am do does did doing
    done has have had having it its this that these those there here what which who whom whose when where why
    how i me my we us our you your he him his she her they them their if then than so not no nor can could
    will would shall should may might must about into over under between during after before up down out off
    again also any all some such only own same other more most much many very s t d ll re ve m ' please tell
    give name explain describe list find show called known kind type e.g i.e etc per via upon among within
    without does 的 了 是 在 和 与 與 及 或 有 被 把 将 將 对 對 于 於 中 为 為 之 也 而 其 以 从 從 到 由 这 這 那 哪 什 么 麼 谁 誰 何 吗 嗎
    呢 吧 啊 个 個 们 們 所 就 都 上 下 后 後 前 里 裡 时 時 候 怎 样 樣 几 幾 多 少 请 請 问 問 一 些 種 种 位 称 稱 叫 做 作 地 得
    着 著 过 過 可 能 会 會 要 不 没 沒 我 你 他 她 它 该 該 如 若 因 此 但 并 並 等""".split()  # noqa: SIM905
)

_IRREGULAR = {
    "made": "make", "making": "make", "wrote": "write", "written": "write", "began": "begin", "begun": "begin",
    "became": "become", "gave": "give", "given": "give", "took": "take", "taken": "take", "went": "go",
    "gone": "go", "came": "come", "found": "find", "built": "build", "bought": "buy", "sold": "sell",
    "held": "hold", "led": "lead", "left": "leave", "lost": "lose", "paid": "pay", "said": "say", "sent": "send",
    "spent": "spend", "won": "win", "grew": "grow", "grown": "grow", "knew": "know", "fell": "fall",
    "fallen": "fall", "rose": "rise", "risen": "rise", "chose": "choose", "chosen": "choose", "died": "die",
    "death": "die", "dying": "die", "born": "birth", "children": "child", "men": "man", "women": "woman",
    "people": "person", "feet": "foot", "employees": "employ", "employee": "employ", "larger": "large",
    "largest": "large", "biggest": "big", "bigger": "big", "higher": "high", "highest": "high", "used": "use",
    "kept": "keep", "met": "meet", "ran": "run", "run": "run", "running": "run", "saw": "see", "seen": "see",
    "brought": "bring", "thought": "think", "taught": "teach", "caught": "catch", "fought": "fight",
}  # fmt: skip
_SUFFIXES = (
    "ization", "isation", "ational", "fulness", "ousness", "iveness", "ations", "ments", "ation", "ition", "ement",
    "ingly", "ities", "ment", "ness", "tion", "sion", "ings", "ible", "able", "ical", "ally", "ing", "ies", "ied",
    "ity", "ive", "ors", "ers", "ous", "est", "ion", "ed", "es", "ly", "or", "er", "al", "s",
)  # fmt: skip


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The lower-cased word without its common endings; numbers lose their thousands separators."""
    word = word.lower().replace("’", "'")
    if word[0].isdigit():
        return word.replace(",", "")
    if word.endswith("'s"):
        word = word[:-2]
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            if suffix == "s" and word.endswith("ss"):
                break
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    if len(word) > 3 and word[-1] in "ey":
        word = word[:-1]
    return word


def words(text: str) -> list[str]:
    """Surface tokens in order: words, numbers, currency and percent signs, single CJK characters."""
    return TOKEN.findall(text)


def terms(text: str) -> list[str]:
    """Stems of all tokens of ``text``, stop words kept."""
    return [stem(token) for token in TOKEN.findall(text)]


def is_cjk(token: str) -> bool:
    """Whether the token is one CJK character."""
    return bool(_CJK_CHAR.match(token))


def has_cjk(text: str) -> bool:
    """Whether the text holds any CJK character."""
    return bool(_CJK_CHAR.search(text))


# --- kinds of answers -------------------------------------------------------------------------------------

KINDS = (
    "date",
    "number",
    "money",
    "percent",
    "person",
    "place",
    "name",
    "reason",
    "manner",
    "yes_no",
    "thing",
)

_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_DATE = re.compile(
    rf"\b(?:1\d|20)\d\d\b|\b{_MONTH}\.?\s+\d|\d\s+{_MONTH}\b|\bcentur|\b\d+s\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"\b\d+\s*(?:bc|bce|ad|ce|am|pm|a\.m|p\.m)\b|\b\d{1,2}:\d\d|\b(?:spring|summer|autumn|winter|today|tomorrow|"
    rf"yesterday|noon|midnight|annually|monthly|weekly|daily|quarter)\b|\b{_MONTH}\b|"
    r"\b(?:within|after|before|every|until|by)\s+(?:\d+|one|two|three|four|five|six|seven|ten|thirty)?\s*(?:business |working )?"
    r"(?:hours?|days?|weeks?|months?|years?)|[年月日号號]|世[纪紀]|[时時][代期]|[朝代]|[周週]|星期|[春夏秋冬]季|\d[点點]",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fifteen|twenty|thirty|forty|"
    r"fifty|sixty|hundred|thousand|million|billion|dozen|half|twice|once|double|several|both)\b|[一二三四五六七八九十百千万萬亿億两兩]",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"[$€£¥]|\b(?:dollars?|euros?|pounds?|usd|eur|gbp|cny|rmb|cents?|yen|yuan)\b|[元圆圓]|美元|欧元|歐元|人民[币幣]",
    re.I,
)
_PERCENT = re.compile(r"%|\bper ?cent|\bproportion|\bfraction|百分|[成]", re.I)
_NAME = re.compile(r"(?<![.!?。]\s)(?<!^)(?<![\"“(])\b[A-Z][\w'’-]+|[·•]|《")
_PERSON = re.compile(
    r"\b[A-Z][a-z]+ (?:[A-Z]\.? )?(?:(?:de|van|von|of|al|bin|la) )?[A-Z][a-z]+|\b(?:Mr|Mrs|Ms|Dr|Sir|Lord|King|Queen|Pope|"
    r"President|Prof|Professor|Emperor|Saint|St)\b\.?|\b(?:manager|director|officer|owner|team|department|employee|"
    r"author|scientist|engineer|president|minister|lead|supervisor|administrator)s?\b|[·•]|[先][生]|[女][士]|[总總][统統]|部[门門]|"
    r"[经經]理|[导導]演|[国國]王|皇帝|作者|主席|家(?![庭乡鄉])",
)
_PLACE = re.compile(
    r"\b(?:in|at|near|from|to|of|on|via|between|north|south|east|west)\s+(?:the\s+)?[A-Z]|\b(?:city|country|street|river|"
    r"region|province|state|office|building|floor|room|north|south|east|west|website|page|portal|folder|coast|island)\b|"
    r"[省市县縣区區州国國村镇鎮洲岛島山河江湖海路街楼樓]|位[于於]|[东東西南北]部",
)
_REASON = re.compile(
    r"\b(?:because|due to|since|so that|in order to|reason|caused?|therefore|thus|as a result|result(?:ed|s)? (?:in|from)|"
    r"led to|allow|enable|to (?:avoid|protect|ensure|prevent|reduce|keep|make|provide|help))|因[为為此]|由[于於]|[导導]致|[所]以|使得|原因",
    re.I,
)
_MANNER = re.compile(
    r"\b(?:by|using|through|via|with|must|should|click|select|use|follow|enter|contact|submit|step|method|process)\b|"
    r"[通][过過]|[用以]|方法|方式|[按]照|利用|[经經][过過由]",
    re.I,
)

_DETECT = {
    "date": _DATE, "number": _NUMBER, "money": _MONEY, "percent": _PERCENT, "person": _PERSON, "place": _PLACE,
    "name": _NAME, "reason": _REASON, "manner": _MANNER,
}  # fmt: skip


def mentions(kind: str, text: str) -> bool:
    """Whether ``text`` holds something of that kind; always true for ``thing`` and ``yes_no``."""
    pattern = _DETECT.get(kind)
    return pattern is None or bool(pattern.search(text))


_ASK = (
    ("percent", re.compile(r"percent|proportion|fraction|share of|%|百分|比例|占比", re.I)),
    ("money", re.compile(r"\bhow much (?:money|did|does|do|is|was|were|will|would|can|are)\b|\b(?:cost|price|salary|fee|revenue|budget|paid|dollars|euros|allowance|amount)\b.*\?|多少[钱錢元]|价格|價格|费用|費用", re.I)),
    ("number", re.compile(r"\bhow (?:many|much|long|far|old|tall|high|large|big|deep|often|fast|wide|heavy|hot|cold|big)\b|\bwhat (?:number|amount|size|age|speed|temperature|quantity)|\bnumber of\b|多少|[几幾]|多[长長大高远遠久深快重]|[数數]量|总[数额]|第[几幾]", re.I)),
    ("date", re.compile(r"\bwhen\b|\b(?:what|which|in what|in which|on what|during what) (?:\w+ )?(?:year|date|day|month|century|time|decade|era|period|season|deadline)\b|\bdeadline\b|\bhow (?:soon|long ago|late|early)\b|何[时時年日月]|什[么麼][时時]|哪[一]?[年天月日]|[几幾][年月号號点點日]|哪[个個]?[时時朝世]|多久|[时時]候|[时時][间間]|日期", re.I)),
    ("person", re.compile(r"\bwho(?:m|se)?\b|\b(?:what|which) (?:\w+ )?(?:person|people|man|woman|king|queen|president|author|actor|scientist|leader|team|department|singer|player|architect)\b|[谁誰]|哪[位些]?[个個]?人|何人|什[么麼]人|哪[一]?位|叫什[么麼]名", re.I)),
    ("place", re.compile(r"\bwhere\b|\b(?:what|which|in what|in which) (?:\w+ )?(?:city|country|state|place|town|location|region|province|river|area|county|continent|street|office|nation|island|part)\b|哪[里裡裏儿兒]|何[处處地]|什[么麼]地[方区]|哪[一]?[个個]?(?:[国國]家|城市|地[方区區]|省|市|州|[县縣])|位[于於]", re.I)),
    ("reason", re.compile(r"\bwhy\b|\b(?:what|which) (?:\w+ )?(?:reason|cause|purpose|caused|led)\b|[为為]什[么麼]|[为為]何|原因|何以|目的", re.I)),
    ("manner", re.compile(r"\bhow\b|怎[么麼样樣]|如何", re.I)),
    ("yes_no", re.compile(r"^\s*(?:is|are|was|were|do|does|did|can|could|will|would|should|may|must|has|have|had|am)\b|[吗嗎]|是否|能不能|可不可以", re.I)),
    ("name", re.compile(r"\b(?:what|which) (?:\w+ ){0,2}(?:name|company|organization|organisation|university|school|group|band|film|movie|book|song|language|religion|party|army|title|tribe|church|game|award)\b|名[字称稱]|哪[一]?[个個家所部本首]|[称稱][为為]|叫[做]?什[么麼]", re.I)),
)  # fmt: skip


@lru_cache(maxsize=4096)
def asks_for(question: str) -> str:
    """The kind of answer a question asks for, one of ``KINDS``; ``thing`` when nothing more is known."""
    for kind, pattern in _ASK:
        if pattern.search(question):
            return kind
    return "thing"
