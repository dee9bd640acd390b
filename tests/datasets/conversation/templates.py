"""Chat templates written for these tests, each with what a family of real ones asks of messages and tools.

Their texts are not those of any model; what they do to a row is.
"""

from __future__ import annotations

from typing import Any

__all__ = ["OF_OBJECTS", "OF_TEXT", "THINKING", "rendered"]

# Arguments by `tojson`: text would come out as a quoted string full of backslashes.
QWEN = """\
{% for tool in tools or [] %}{{ tool | tojson }}
{% endfor %}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}
{%- for call in message.tool_calls or [] %}{% if call.function %}{% set call = call.function %}{% endif %}
<call>{"name": "{{ call.name }}", "arguments": {{ call.arguments | tojson }}}</call>
{%- endfor %}<|end|>
{% endfor %}"""

# One call in a message, `parameters`, tools indented.
LLAMA = """\
{% for tool in tools or [] %}{{ tool | tojson(indent=4) }}
{% endfor %}{% for message in messages %}{% if message.tool_calls %}
{%- if message.tool_calls | length != 1 %}{{ raise_exception("one call at a time") }}{% endif %}
{%- set call = message.tool_calls[0].function %}[assistant]{"name": "{{ call.name }}", "parameters": {{ call.arguments | tojson }}}
{% else %}[{{ message.role }}]{{ message.content }}
{% endif %}{% endfor %}"""

# Ids of nine letters and digits, and roles that take turns.
MISTRAL = """\
{% set turn = namespace(user=true) %}{% if tools %}[TOOLS]{{ tools | tojson }}[/TOOLS]{% endif %}
{%- for message in messages %}{% if message.role == "user" or (message.role == "assistant" and not message.tool_calls) %}
{%- if (message.role == "user") != turn.user %}{{ raise_exception("roles must alternate") }}{% endif %}
{%- set turn.user = not turn.user %}{{ message.content }}{% elif message.role == "tool" %}
{%- if message.tool_call_id | length != 9 or not message.tool_call_id.isalnum() %}{{ raise_exception("nine letters") }}{% endif %}
{{- {"content": message.content, "call_id": message.tool_call_id} | tojson }}{% else %}
{%- for call in message.tool_calls or [] %}{% if call.id | length != 9 %}{{ raise_exception("nine letters") }}{% endif %}
{{- call.function | tojson }}{{ call.id }}{% endfor %}{% endif %}{% endfor %}"""

# Arguments one by one.
GLM = """\
{% for tool in tools or [] %}{{ tool | tojson(ensure_ascii=False) }}
{% endfor %}{% for message in messages %}<{{ message.role }}>{{ message.content }}{% for call in message.tool_calls or [] %}
{{ call.function.name }}{% for key, value in call.function.arguments.items() %}
<arg_key>{{ key }}</arg_key><arg_value>{{ value if value is string else value | tojson }}</arg_value>{% endfor %}{% endfor %}
{% endfor %}"""

# Tools as declarations, for which each needs a description; results under the tool's name.
GPT_OSS = """\
{% for tool in tools or [] %}// {{ tool.function.description + "" }}
type {{ tool.function.name }} = (_: {
{%- for name, schema in tool.function.parameters.properties.items() %}{{ name }}: {{ schema.type or "any" }}, {% endfor %}})
{% endfor %}{% for message in messages %}{% if message.tool_calls %}{% set call = message.tool_calls[0].function %}
{{- "functions." + call.name }} {{ call.arguments | tojson }}{% elif message.role == "tool" %}
{{- "functions." + message.name }} {{ message.content | tojson }}{% else %}<{{ message.role }}>{{ message.content }}{% endif %}
{% endfor %}"""

# Arguments are put together with text, so they have to be text.
DEEPSEEK = """\
{% for message in messages %}<{{ message.role }}>{{ message.content }}{% for call in message.tool_calls or [] %}
{{ call.type + ":" + call.function.name + "\\n" + call.function.arguments + "\\n" }}{% endfor %}
{% endfor %}"""

# Reasoning of the answers after the last question alone, from its own key or from tags in the text.
QWEN_THINKING = """\
{% set last = namespace(question=-1) %}{% for message in messages %}{% if message.role == "user" %}{% set last.question = loop.index0 %}
{%- endif %}{% endfor %}{% for message in messages %}{% set content = message.content %}{% set thought = "" %}
{%- if message.reasoning_content is string %}{% set thought = message.reasoning_content %}
{%- elif "</think>" in content %}{% set thought = content.split("</think>")[0].split("<think>")[-1] %}
{%- set content = content.split("</think>")[-1].lstrip() %}{% endif %}<|{{ message.role }}|>
{%- if message.role == "assistant" and loop.index0 > last.question %}<think>[{{ thought.strip() }}]</think>{% endif %}
{{- content }}<|end|>
{% endfor %}"""

# Reasoning of every answer, under its own key, in tags of another name.
GLM_THINKING = """\
{% for message in messages %}<{{ message.role }}>
{%- if message.reasoning_content %}<thought>{{ message.reasoning_content }}</thought>{% endif %}{{ message.content }}
{% endfor %}"""

THINKING = {"qwen": QWEN_THINKING, "glm": GLM_THINKING}
OF_OBJECTS = {"qwen": QWEN, "llama": LLAMA, "mistral": MISTRAL, "glm": GLM, "gpt-oss": GPT_OSS}
OF_TEXT = {"deepseek": DEEPSEEK}


def rendered(template: str, row: dict[str, Any]) -> str:
    """What `tokenizer.apply_chat_template(row["messages"], tools=row.get("tools"), tokenize=False)` gives with this template."""
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, _ = render_jinja_template(
        conversations=[row["messages"]], tools=row.get("tools") or None, chat_template=template
    )
    return str(texts[0])
