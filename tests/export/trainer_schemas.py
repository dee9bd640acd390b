"""What the documentation of trainers and providers says of their files, as JSON Schemas, with the addresses where it stands."""

from __future__ import annotations

from typing import Any

__all__ = ["AXOLOTL", "ENTRY", "RECORDS"]

TEXT = {"type": "string"}
SAID = {"type": "string", "minLength": 1}


def item(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": [*required],
        "additionalProperties": False,
    }


def listed(of: dict[str, Any], least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": least}


def message(*roles: str) -> dict[str, Any]:
    return item({"role": {"enum": [*roles]}, "content": TEXT})


TOOL = item(
    {"type": {"const": "function"}, "function": item({"name": SAID}, description=TEXT, parameters={"type": "object"})}
)
CALL = item({"type": {"const": "function"}, "function": item({"name": SAID, "arguments": TEXT})}, id=SAID)
NINE = {"type": "string", "pattern": "^[a-zA-Z0-9]{9}$"}

# https://platform.openai.com/docs/guides/supervised-fine-tuning and /direct-preference-optimization
MESSAGE = item(
    {"role": {"enum": ["system", "user", "assistant", "tool"]}, "content": TEXT},
    tool_calls=listed(CALL),
    tool_call_id=SAID,
)
ANSWER = {"type": "array", "items": message("assistant"), "minItems": 1, "maxItems": 1}
OPENAI = item({"messages": listed(MESSAGE, 2)}, tools=listed(TOOL))
OPENAI_INPUT = item({"messages": listed(MESSAGE)}, tools={"type": "array"}, parallel_tool_calls={"type": "boolean"})

# https://docs.together.ai/docs/fine-tuning/data-preparation, /function-calling, /reasoning
TOGETHER_MESSAGE = item(
    {"role": {"enum": ["system", "user", "assistant", "tool"]}, "content": TEXT},
    tool_calls=listed(CALL),
    tool_call_id=SAID,
    reasoning_content=SAID,
)

# https://github.com/mistralai/mistral-finetune#instruct
MISTRAL_CALL = item({"id": NINE, "type": {"const": "function"}, "function": item({"name": SAID, "arguments": TEXT})})
MISTRAL_MESSAGE = {
    "anyOf": [
        message("system", "user", "assistant"),
        item({"role": {"const": "assistant"}, "tool_calls": listed(MISTRAL_CALL)}),
        item({"role": {"const": "tool"}, "content": TEXT, "tool_call_id": NINE}),
    ]
}

# https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare and /tune-function-calling
PART = {
    "anyOf": [
        item({"text": TEXT}),
        item({"functionCall": item({"name": SAID, "args": {"type": "object"}})}),
        item({"functionResponse": item({"name": SAID, "response": {"type": "object"}})}),
    ]
}
DECLARED = item(
    {"name": SAID}, description=TEXT, parameters={"type": "object", "properties": {"type": {"const": "OBJECT"}}}
)

# https://docs.aws.amazon.com/bedrock/latest/userguide/preparing-text-data.html
BLOCK = listed(item({"text": TEXT}))

# https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
TURN = item({"from": {"enum": ["human", "gpt", "function_call", "observation"]}, "value": TEXT})
OF_ASSISTANT = item({"from": {"enum": ["gpt", "function_call"]}, "value": TEXT})
TALK = {"conversations": listed(TURN), "system": TEXT}
COLUMN_NAMES = ("prompt", "messages", "system", "tools", "chosen", "rejected", "kto_tag")
ENTRY = item(
    {"file_name": SAID, "formatting": {"enum": ["alpaca", "sharegpt"]}},
    ranking={"type": "boolean"},
    columns=item({}, **dict.fromkeys(COLUMN_NAMES, SAID)),
)

# https://docs.axolotl.ai/docs/dataset-formats/conversation.html, /stepwise_supervised.html and https://docs.axolotl.ai/docs/rlhf.html
AXOLOTL_MESSAGE = item(
    {"role": {"enum": ["system", "user", "assistant", "tool"]}, "content": TEXT},
    tool_calls=listed(CALL),
    tool_call_id=SAID,
    name=SAID,
    reasoning_content=SAID,
)
SAYS = message("system", "user", "assistant")
DATASET = item(
    {"path": SAID, "ds_type": {"enum": ["json", "parquet", "arrow"]}, "type": SAID},
    field=SAID,
    field_messages=SAID,
    field_chosen=SAID,
    field_rejected=SAID,
)
AXOLOTL = item(
    {"datasets": listed(DATASET)},
    test_datasets=listed(DATASET),
    rl={"enum": ["dpo", "kto"]},
    remove_unused_columns={"const": False},
    process_reward_model={"const": True},
)

# https://huggingface.co/docs/trl/dataset_formats
STEPS = item({"prompt": TEXT, "completions": listed(TEXT), "labels": listed({"type": "boolean"})})

RECORDS: dict[str, Any] = {
    "openai": OPENAI,
    "openai_dpo": item({"input": OPENAI_INPUT, "preferred_output": ANSWER, "non_preferred_output": ANSWER}),
    "together": item({"messages": listed(TOGETHER_MESSAGE, 2)}, tools=listed(TOOL)),
    "together_dpo": item(
        {
            "input": item({"messages": listed(TOGETHER_MESSAGE)}, tools=listed(TOOL)),
            "preferred_output": ANSWER,
            "non_preferred_output": ANSWER,
        }
    ),
    "mistral": item({"messages": listed(MISTRAL_MESSAGE, 2)}, tools=listed(TOOL)),
    "gemini": item(
        {"contents": listed(item({"role": {"enum": ["user", "model"]}, "parts": listed(PART)}), 2)},
        systemInstruction=item({"role": {"const": "system"}, "parts": BLOCK}),
        tools=listed(item({"functionDeclarations": listed(DECLARED)})),
    ),
    "bedrock": item(
        {
            "schemaVersion": {"const": "bedrock-conversation-2024"},
            "messages": listed(item({"role": {"enum": ["user", "assistant"]}, "content": BLOCK}), 2),
        },
        system=BLOCK,
    ),
    "bedrock_anthropic": item({"messages": listed(message("user", "assistant"), 2)}, system=TEXT),
    "llama_factory": item(TALK, tools=TEXT),
    "llama_factory_dpo": item({**TALK, "chosen": OF_ASSISTANT, "rejected": OF_ASSISTANT}),
    "llama_factory_kto": item({**TALK, "kto_tag": {"type": "boolean"}}),
    "llama_factory_pretraining": item({"text": TEXT}),
    "axolotl": item({"messages": listed(AXOLOTL_MESSAGE, 2)}, tools=TEXT),
    "axolotl_dpo": item({"messages": listed(SAYS), "chosen": message("assistant"), "rejected": message("assistant")}),
    "axolotl_kto": item({"completion": listed(SAYS, 2), "label": {"type": "boolean"}}),
    "axolotl_stepwise": STEPS,
    "axolotl_pretraining": item({"text": TEXT}),
    "stepwise": STEPS,
}
