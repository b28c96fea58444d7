"""Greetings, thanks and "what can you do?": a fixed answer that comes from no document and says so.

Knows which questions are nothing but that, and what is said to them. A greeting in front of a question is a question.
What is stored holds no name and no title, so that it rests on nothing: collections and example questions are added when
the answer is shown, from what its reader can read at that moment. Searches nothing and asks no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from django.utils.translation import gettext, ngettext, override, pgettext

from assistant import version
from assistant.accounts.models import User
from assistant.documents import policy

from . import languages
from .closing import Result
from .models import Outcome

REASON = "introduction"
ENGINE = "template"
_NAMED = 5  # collections that are named; the others are counted

_GREETING = (
    r"hi|hey|hello|helo|hallo|hiya|howdy|greetings|good (?:morning|afternoon|evening|day)|how are you(?: doing)?"
    r"(?: today)?|nice to meet you|你好啊?|您好|大家好|嗨|哈[喽啰罗]|早安|早上好|早|上午好|中午好|下午好|晚上好|"
    r"[你您]?在[吗么]|有人吗"
)
_THANKS = (
    r"thanks?(?: you)?(?: (?:so|very) much| a lot| a million| again| for (?:your|the) help| for that)?|thx|cheers|"
    r"much appreciated|great|perfect|ok|okay|(?:good ?)?bye|goodbye|see you|"
    r"(?:好的?|太好了|非常|十分|多)?(?:谢谢|感谢|谢)(?:你|您|了|啦|你的帮助|您的帮助)?|辛苦了?|再见|拜拜|好的?|知道了|明白了"
)
_ABOUT = (
    r"(?:please )?help(?: me)?(?: please)?|who are you|what are you|what(?: all)? (?:can|do) you do(?: for me)?|"
    r"what can (?:i|we) ask(?: you| here)?(?: about)?|what can (?:i|we) do here|"
    r"what (?:questions|things) can (?:i|you) (?:ask|answer)(?: you)?|how can you help(?: me)?|"
    r"(?:how|what) can you help(?: me)? with|how do (?:i|you) use you|"
    r"what do you know|introduce yourself|tell me about yourself|what is your name|what's your name|"
    r"(?:你|您)(?:是谁|是什么|叫什么(?:名字)?|好用吗)|(?:你|您)(?:能|会|可以|都能|都会)(?:够)?(?:做|干|帮我做|为我做|回答|帮我)?"
    r"(?:些)?(?:什么|啥|哪些(?:事|问题)?)(?:事情?|问题)?|(?:你|您)(?:能|可以)(?:怎么)?帮(?:我|助我)(?:做)?(?:些)?(?:什么|啥)?|"
    r"(?:我)?(?:能|可以|该)?(?:问|向你问|问你)(?:些)?(?:什么|啥|哪些)(?:问题)?|(?:你|您)?有(?:什么|哪些)(?:功能|用处?|本事)|"
    r"(?:我)?(?:该|要)?(?:怎么|如何)(?:使)?用(?:你|您)|帮助|帮帮我|(?:请)?(?:自我介绍(?:一下)?|介绍(?:一下)?(?:[你您](?:自己)?|自己))"
)
_FILLER = (
    r"there|assistant|everyone|all|team|folks|dear|and|so|well|please|now|呀|啊|吧|呢|吗|助手|小助手|请问|那|那么|嗯"
)
_END = r"(?:\s+|(?<=[\u4e00-\u9fff])|$)"
_KINDS = {"about": _ABOUT, "thanks": _THANKS, "greeting": _GREETING, "": _FILLER}  # who asks what I am is told that
_PHRASES = [(name, re.compile(rf"(?:{words}){_END}")) for name, words in _KINDS.items()]
_LONGEST = 80  # characters; nobody greets at greater length
_NOT_WORDS = re.compile(r"[^\w\s']+")


def kind(question: str) -> str:
    """ "greeting", "thanks" or "about" when the question is nothing else; "" for every other one."""
    if len(question) > _LONGEST:
        return ""
    plain = unicodedata.normalize("NFKC", question).casefold().replace("\u2019", "'")
    text = " ".join(_NOT_WORDS.sub(" ", plain).split())
    said, place = set(), 0
    while place < len(text):  # phrase by phrase: what was taken once is not tried in other pieces
        found = next(((name, end) for name, words in _PHRASES if (end := words.match(text, place))), None)
        if found is None:
            return ""
        said.add(found[0])
        place = found[1].end()
    return next((name for name in _KINDS if name in said), "")


def answer(user: User, question: str, slugs: Sequence[str]) -> Result | None:
    """The whole answer to a question of that kind; None for every other question."""
    what = kind(question)
    if not what:
        return None
    language = languages.of(question)
    with override(language):
        openings = {
            "greeting": gettext("Hello."),
            "thanks": gettext("You are welcome."),
            "about": gettext("I am the company's assistant."),
        }
        said = [
            openings[what],
            gettext(
                "Ask me a question: I look for the answer in the documents that you can read, quote it, and show the "
                "page it stands on."
            ),
            gettext("When they do not say, I tell you so."),
        ]
        note = gettext("What you read here is a fixed text and comes from no document.")
    between = "" if language == "zh-hans" else " "
    readable = policy.readable_collections(user)
    if slugs:
        readable = readable.filter(slug__in=list(slugs))
    return Result(
        Outcome.ANSWERED,
        REASON,
        text="\n\n".join([between.join(said), note]),
        sentences=(*((sentence, (), False, 0) for sentence in said), (note, (), False, 2)),
        engine=ENGINE,
        evidence={"collections": list(readable.values_list("slug", flat=True)), "passages": 0},
        detail={"code": version.code(), "introduction": what},
    )


def more(question: str, names: Sequence[str], examples: Sequence[str]) -> list[tuple[str, int]]:
    """What is said below the stored text, in the question's language: collections and example questions of now. Each
    sentence comes with the number of line breaks before it."""
    with override(languages.of(question)):
        if not names:
            return [
                (gettext("There is nothing yet that you can read. Ask a curator or an administrator for access."), 2)
            ]
        listed = pgettext("between the names of a list", ", ").join(names[:_NAMED])
        left = max(0, len(names) - _NAMED)
        if left:
            words = ngettext(
                "You can ask about these collections: %(names)s and %(count)d more.",
                "You can ask about these collections: %(names)s and %(count)d more.",
                left,
            )
        else:
            words = gettext("You can ask about these collections: %(names)s.")
        said = [(words % {"names": listed, "count": left}, 2)]
        if examples:
            said += [(gettext("For example:"), 2), *((f"- {example}", 1) for example in examples)]
        return said
