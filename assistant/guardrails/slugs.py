"""Short names for addresses and tools, made from the names that people give. Pure text; knows no database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

LONGEST = 60
RESERVED = frozenset({"new", "search"})  # pages that stand where a short name would
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa", "œ": "oe", "ł": "l", "&": " and "}
)
# What collections and teams are called in Chinese. Longer words first: a name is read from left to right.
_CHINESE = {
    "员工手册": "handbook",
    "人力资源": "hr",
    "信息技术": "it",
    "法律事务": "legal",
    "规章制度": "policies",
    "董事会": "board",
    "监事会": "supervisors",
    "实验室": "laboratory",
    "办公室": "office",
    "供应商": "suppliers",
    "人事": "hr",
    "财务": "finance",
    "会计": "accounting",
    "法务": "legal",
    "法律": "legal",
    "合规": "compliance",
    "工程": "engineering",
    "技术": "technology",
    "研发": "research",
    "产品": "products",
    "项目": "projects",
    "生产": "production",
    "质量": "quality",
    "采购": "purchasing",
    "物流": "logistics",
    "仓库": "warehouse",
    "销售": "sales",
    "市场": "marketing",
    "客户": "customers",
    "客服": "service",
    "服务": "service",
    "行政": "administration",
    "管理": "management",
    "安全": "safety",
    "培训": "training",
    "审计": "audit",
    "合同": "contracts",
    "手册": "handbook",
    "制度": "policies",
    "政策": "policies",
    "流程": "procedures",
    "文档": "documents",
    "文件": "documents",
    "资料": "documents",
    "报告": "reports",
    "会议": "meetings",
    "德国": "germany",
    "中国": "china",
    "上海": "shanghai",
    "北京": "beijing",
    "苏州": "suzhou",
    "深圳": "shenzhen",
}
_KNOWN = re.compile("|".join(_CHINESE))


def short_name(name: str, *, otherwise: str, taken: Callable[[str], bool]) -> str:
    """A free short name of small letters, digits and hyphens: "Löhne & Gehälter" becomes "loehne-and-gehaelter",
    "财务制度" becomes "finance-policies". A name with nothing to go by becomes `otherwise`, and one that is taken or
    reserved gets a number."""
    words = _KNOWN.sub(lambda found: f" {_CHINESE[found[0]]} ", name.casefold()).translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", words)
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    base = "-".join(dict.fromkeys(_NOT_PLAIN.sub(" ", kept).split()))[: LONGEST - 6].strip("-") or otherwise
    found, number = base, 1
    while found in RESERVED or taken(found):
        number += 1
        found = f"{base}-{number}"
    return found
