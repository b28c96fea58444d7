"""Words of one kind: a follow-up that names another of the kind replaces the one before ("and in Germany?").

Pure data and one search; knows no conversation. English and Chinese, whole words only in English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACES = """
Germany|France|Italy|Spain|Austria|Switzerland|Poland|Netherlands|Belgium|Luxembourg|Denmark|Sweden|Norway|Finland|
Portugal|Ireland|Greece|Hungary|Romania|Czechia|Czech Republic|Slovakia|Slovenia|Croatia|Bulgaria|Turkey|Ukraine|
United Kingdom|UK|England|Scotland|Wales|Britain|Great Britain|EU|European Union|Europe|Asia|Africa|America|
United States|USA|US|Canada|Mexico|Brazil|Argentina|Chile|China|Japan|Korea|South Korea|India|Singapore|Malaysia|
Thailand|Vietnam|Indonesia|Australia|New Zealand|Israel|Egypt|South Africa|Russia|Hong Kong|Taiwan|Macau|
Berlin|Munich|Hamburg|Frankfurt|Cologne|Stuttgart|Leipzig|Dresden|Vienna|Zurich|Geneva|Paris|Lyon|London|Manchester|
Dublin|Madrid|Barcelona|Lisbon|Rome|Milan|Amsterdam|Rotterdam|Brussels|Copenhagen|Stockholm|Oslo|Helsinki|Warsaw|Prague|
Budapest|New York|Boston|Chicago|San Francisco|Seattle|Toronto|Tokyo|Osaka|Seoul|Beijing|Shanghai|Shenzhen|Guangzhou|
Suzhou|Hangzhou|Nanjing|Chengdu|Wuhan|Tianjin|Delhi|Mumbai|Bangalore|Sydney|Melbourne|Dubai
"""
_PLACES_ZH = """
德国|法国|意大利|西班牙|奥地利|瑞士|波兰|荷兰|比利时|丹麦|瑞典|挪威|芬兰|葡萄牙|爱尔兰|英国|美国|加拿大|墨西哥|巴西|中国|
日本|韩国|印度|新加坡|马来西亚|泰国|越南|印度尼西亚|澳大利亚|新西兰|俄罗斯|香港|台湾|澳门|欧盟|欧洲|北京|上海|深圳|广州|苏州|
杭州|南京|成都|武汉|天津|重庆|西安|柏林|慕尼黑|汉堡|法兰克福|伦敦|巴黎|东京|首尔|纽约|国内|国外|境内|境外
"""
_PEOPLE = """
employees?|contractors?|freelancers?|interns?|trainees?|apprentices?|managers?|executives?|directors?|visitors?|guests?|
suppliers?|vendors?|customers?|clients?|consultants?|working students?|temporary staff|temporary workers?|
agency workers?|part[- ]time employees|part[- ]time staff|part[- ]time workers|part[- ]timers?|part[- ]time|
full[- ]time employees|full[- ]time staff|full[- ]time workers|full[- ]timers?|full[- ]time|
new hires|new joiners|new employees|team leads?|
shift workers?|parents|mothers|fathers|external staff|permanent staff
"""
_PEOPLE_ZH = (
    "正式员工|合同工|临时工|外包人员|外包员工|兼职员工|全职员工|兼职|全职|实习生|新员工|管理人员|部门经理|"
    "总经理|经理|主管|承包商|供应商|客户|访客|学徒|员工"
)
_TIMES = (
    r"(?:19|20)\d\d|Q[1-4]|(?:first|second|third|fourth) quarter|January|February|March|April|May|June|July|August|"
    r"September|October|November|December"
)
_TIMES_ZH = r"(?:19|20)\d\d年|[一二三四]季度|(?:1[0-2]|[1-9])月|去年|今年|明年"
_CODES = r"[A-Z]{1,6}[- ]?\d{1,5}[A-Z]?\b"  # part numbers and bands: TFC 65, E4, A14
_ACRONYMS = r"[A-Z]{2,6}\b"  # materials, departments: FKM, HR


@dataclass(frozen=True, slots=True)
class Entity:
    kind: str
    text: str
    start: int
    end: int


def _compiled(kind: str, english: str, chinese: str, flags: int = 0) -> tuple[str, re.Pattern[str]]:
    def longest_first(words: str) -> str:
        items = [item.strip() for item in words.replace("\n", "").split("|") if item.strip()]
        return "|".join(sorted(items, key=len, reverse=True))

    pattern = rf"(?<![A-Za-z0-9])(?:{longest_first(english)})(?![A-Za-z0-9])|{longest_first(chinese)}"
    return kind, re.compile(pattern, flags)


_KINDS = (
    _compiled("place", _PLACES, _PLACES_ZH),
    _compiled("people", _PEOPLE, _PEOPLE_ZH, re.IGNORECASE),
    ("time", re.compile(rf"(?<![A-Za-z0-9])(?:{_TIMES})(?![A-Za-z0-9年])|{_TIMES_ZH}")),
    ("code", re.compile(rf"(?<![A-Za-z0-9]){_CODES}")),
    ("acronym", re.compile(rf"(?<![A-Za-z0-9]){_ACRONYMS}")),
)


def find(text: str) -> list[Entity]:
    """The entities of `text` by position; spans do not overlap."""
    found = [
        Entity(kind, match.group(), match.start(), match.end())
        for kind, pattern in _KINDS
        for match in pattern.finditer(text)
    ]
    taken: list[Entity] = []
    for entity in sorted(found, key=lambda item: (item.start, item.start - item.end)):
        if not taken or entity.start >= taken[-1].end:
            taken.append(entity)
    return taken
