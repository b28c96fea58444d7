"""The wording of instructions to a language model, as patterns. Data for `injection`; knows nothing else.

Patterns are matched against `sanitize.shadow` of a text: lower case, look-alike characters made plain. Every repetition is
bounded. The weight is how strongly one match speaks for an attack (0..1); the same name twice counts once.
"""

# ruff: noqa: E501  (a pattern is read on one line)

from __future__ import annotations

import re

_TO_MODEL = (
    r"(?:ai|a\.i\.|llms?|large language models?|language models?|chat ?bots?|chatgpt|gpt(?:-?\d)?|claude|copilot|"
    r"(?:ai|virtual|digital) assistants?|assistant|summari[sz]ers?|the model|this model)"
)
_EARLIER = (
    r"(?:all|any|every|each|previous|prior|preceding|above|earlier|foregoing|your|original|initial|system|these|those)"
)
_ORDERS = (
    r"(?:instructions?|prompts?|directions?|directives?|guidelines?|rules|commands?|orders|programming|training|"
    r"constraints?|context)"
)
_IGNORE = (
    r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|bypass|do not follow|don't follow|stop following|"
    r"pay no attention to)"
)
_SPEAK = (
    r"(?:say|respond|reply|answer|output|print|write|tell|state|include|recommend|reveal|ignore|repeat|send|translate|"
    r"summari[sz]e|mention|insert|append|rate|rank|return|claim|act)"
)
_ZH_MODEL = r"(?:ai|人工智能|智能助手|语言模型|語言模型|大模型|聊天机器人|聊天機器人|chatgpt|机器人助手|ai助手|助手)"
_ZH_ORDERS = r"(?:指令|指示|提示词|提示詞|规则|規則|要求|命令|限制|设定|設定|约束|約束|准则|準則|训练)"
_ZH_IGNORE = r"(?:忽略|无视|無視|忘记|忘掉|忘記|忽視|不要理会|不用理会|抛开|拋開|不再遵守|绕过|覆盖)"
_ZH_EARLIER = r"(?:之前|以上|上述|上面|前面|先前|此前|前述|你的|系统|系統|原有|原来|所有|全部|一切|任何)"

RULES: tuple[tuple[str, float, re.Pattern[str]], ...] = tuple(
    (name, weight, re.compile(pattern))
    for name, weight, pattern in (
        # "Ignore the above instructions" stands in honest manuals too; "all previous", "your" and "system" do not.
        ("override", 0.92, rf"{_IGNORE}\s{{1,3}}(?:the |of |any ){{0,2}}(?:all (?:of )?(?:the |your |my )?(?:previous|prior|preceding|"
                           rf"above|earlier|foregoing|original|other)?|your(?: previous| prior| original| own| system)?|(?:previous|prior)"
                           rf"(?: system)?|system)\s{{1,3}}(?:and \w{{1,12}} )?{_ORDERS}\b"),
        ("override", 0.6, rf"{_IGNORE}\s{{1,3}}(?:the |of ){{0,2}}(?:{_EARLIER}\s{{1,3}}){{1,4}}(?:of )?"
                          rf"(?:\w{{1,12}}\s{{1,3}}){{0,3}}?{_ORDERS}\b"),
        (
            "override_everything",
            0.6,
            r"\b(?:ignore|disregard|forget)\s{1,3}(?:everything|all|anything)\s{1,3}(?:you (?:were|have been|are) told|"
            r"(?:written |said |mentioned )?(?:above|before|so far|until now|up to this point)|i (?:said|told you))",
        ),
        ("override_zh", 0.92, rf"{_ZH_IGNORE}[^。！？\n]{{0,6}}{_ZH_EARLIER}[^。！？\n]{{0,10}}(?:指令|指示|提示词|提示詞|设定|設定)"),
        ("override_zh", 0.6, rf"{_ZH_IGNORE}[^。！？\n]{{0,6}}{_ZH_EARLIER}[^。！？\n]{{0,10}}{_ZH_ORDERS}"),
        (
            "to_the_model",
            0.6,
            rf"\b(?:note|attention|message|memo|instructions?|warning|reminder|dear|hey|hello|important)\s{{0,3}}"
            rf"(?:to|for|,|:)?\s{{0,3}}(?:the |any |all |an )?{_TO_MODEL}\s{{0,3}}[:,!\-—]",
        ),
        (
            "to_the_model",
            0.6,
            rf"\bif you(?:'re| are) (?:an? |the )?{_TO_MODEL}\b|\b(?:ai|assistant|model|llm|chatbot)s? (?:reading|processing|"
            rf"parsing|summari[sz]ing) this\b|\b{_TO_MODEL}[:,]\s{{0,3}}(?:please |you must |you should |now )?{_SPEAK}\b",
        ),
        ("to_the_model_zh", 0.6, rf"(?:致|给|給|请注意|注意|提醒|如果你是|作为)[，,：:]?(?:一个|一名|所有|任何)?{_ZH_MODEL}[^。！？\n]{{0,4}}"
                                 r"[：:，,]?[^。！？\n]{0,6}(?:必须|请|务必|应当|需要|不要|忽略|输出|回答|回复)"),
        ("to_the_model_zh", 0.6, rf"{_ZH_MODEL}(?:请注意|请读|请执行|请务必|必须)[：:，,]?"),
        (
            "steer",
            0.5,
            r"\b(?:when|whenever|if|before|while) (?:you are |you're |anyone |someone |the user |a user |users? )?(?:asked|asks|"
            r"answer(?:ing)?|respond(?:ing)?|summari[sz](?:e|ing)|quer(?:y|ied))\b[^.!?\n]{0,60}?[,;] "
            rf"(?:you (?:must|should|will) |always |please |only |just ){{0,2}}{_SPEAK}\b[^.!?\n]{{0,60}}"
            r"(?:user|instead|only|regardless|exactly|always|approved|best|http|\")",
        ),
        (
            "steer",
            0.55,
            r"\b(?:do not|don't|never|without) (?:mention(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|tell(?:ing)?)\b[^.!?\n]{0,30}"
            r"\b(?:this (?:instruction|message|note|sentence|prompt)|these instructions|to the user|the user)\b",
        ),
        (
            "steer",
            0.5,
            r"\b(?:begin|start|end|preface|prefix|finish) (?:every|each|your|all|the) (?:\w{1,10} )?(?:repl(?:y|ies)|responses?|"
            r"answers?|summar(?:y|ies)|outputs?) (?:with|by)\b|\b(?:in|to) your (?:next )?(?:reply|response|answer|summary|output)"
            rf"[,:]? (?:you must |always |please )?{_SPEAK}\b",
        ),
        (
            "steer",
            0.5,
            r"\b(?:your (?:only|new|sole|real|actual) (?:task|job|goal|role|purpose|objective|instructions?) (?:is|are)|"
            r"you (?:must|will|shall) (?:now )?(?:only )?(?:respond|reply|answer|output)(?: only)? (?:with|as|in|to every))\b",
        ),
        ("steer_zh", 0.5, r"(?:不要|不得|请勿|别)(?:告诉|提及|透露给|告知)(?:用户|使用者|任何人)|"
                          r"(?:在|于)(?:你的|每个|每次|所有)(?:回答|回复|答复|输出|总结)(?:中|里|时)?[^。！？\n]{0,6}(?:必须|务必|都要|加入|插入|包含|推荐)|"
                          r"(?:无论|不管)用户(?:问|说|提出)[^。！？\n]{0,10}(?:都|必须|只)"),
        ("persona", 0.6, r"\byou are (?:now )?(?:dan\b|no longer (?:bound|an? (?:ai|assistant))|an? (?:unrestricted|unfiltered|"
                         r"uncensored|evil|jailbroken))|\bdo anything now\b|\b(?:developer|jailbreak|god|sudo) mode (?:is )?(?:enabled|on|"
                         r"activated)\b|\b(?:act|behave|respond) as (?:if you (?:had|have) no (?:rules|restrictions|limits)|an? "
                         r"(?:unrestricted|unfiltered|uncensored))"),
        ("persona", 0.45, r"\bfrom now on,? you (?:are|will|must|shall)\b|\bpretend (?:to be|that you are|you are)\b[^.\n]{0,40}"
                          r"\b(?:ai|model|assistant|without|no (?:rules|restrictions))\b"),
        ("persona_zh", 0.5, r"从现在(?:开始|起)[，,]?你(?:就)?(?:是|将|必须|要)|你现在(?:是|扮演)[^。\n]{0,12}(?:没有|不受|无)[^。\n]{0,6}"
                            r"(?:限制|约束|道德|规则)|扮演[^。\n]{0,20}(?:没有|不受|无视)[^。\n]{0,10}(?:限制|约束|道德|法律|规则)|(?:dan|越狱)模式"),
        ("reveal", 0.6, r"\b(?:reveal|print|show|repeat|output|leak|display|tell me|give me|write down|disclose)\b[^.!?\n]{0,30}\b(?:system|"
                        r"hidden|initial|original|secret|developer) (?:prompt|instructions?|message)s?\b|"
                        r"\b(?:repeat|print|output) (?:everything|all(?: of)? the (?:text|words)|the words) above\b"),
        ("reveal_zh", 0.6, r"(?:输出|显示|告诉我|打印|泄露|重复|说出|展示|逐字)[^。！？\n]{0,10}(?:系统提示|系統提示|隐藏的?提示|提示词|初始指令|系统指令|隐藏指令)"),
        ("exfiltrate", 0.6, r"\b(?:send|post|forward|upload|append|transmit|leak|exfiltrate)\b[^.!?\n]{0,40}\b(?:conversation|chat (?:history|log)|"
                            r"system prompt|user'?s? (?:question|data|message|password)|this context|credentials|passwords?|api keys?)\b"
                            r"[^.!?\n]{0,40}(?:https?:|www\.|@)"),
        ("exfiltrate", 0.5, r"!\[[^\]\n]{0,80}\]\(https?://[^)\s]{1,200}[?&][^)\s]{0,40}=[^)\s]{0,40}[{$<]"),
        ("exfiltrate_zh", 0.6, r"(?:把|将)[^。！？\n]{0,12}(?:对话|聊天记录|提示词|密码|用户的?(?:问题|数据|信息))[^。！？\n]{0,12}(?:发送|上传|转发|泄露|提交)[^。！？\n]{0,6}"
                               r"(?:到|给|至)[^。！？\n]{0,20}(?:http|www|@)"),
        ("role_marker", 0.35, r"(?m)^[ \t>*#\-]{0,6}(?:system|assistant|ai instruction|system (?:message|prompt|note|override))[ \t]{0,3}"
                              r"(?:message|prompt|note)?[ \t]{0,3}[:：\]>]"),
        ("new_instructions", 0.5, r"\b(?:new|updated|revised|real|actual|secret|hidden) (?:system )?(?:instructions?|prompt|directives?)"
                                  rf"(?: for (?:the )?{_TO_MODEL})?\s{{0,2}}:"),
        ("new_instructions_zh", 0.5, rf"(?:新的?|最新|隐藏的?|秘密)(?:系统)?(?:指令|提示词)[：:]|给{_ZH_MODEL}的(?:新)?(?:指令|指示|消息|说明)"),
    )
)  # fmt: skip
