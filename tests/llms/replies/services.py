"""The reasons that services and servers give for the end of a reply, and what each has to become: put down by hand."""

from __future__ import annotations

__all__ = ["SERVICES"]

# Service: what is taken, what calls a tool, what is truncated, refused and broken off. Spelled as they spell it.
_ROWS = """
OpenAI, Azure OpenAI, Groq, OpenRouter | stop | tool_calls function_call | length | content_filter | error
OpenAI responses | completed | | max_output_tokens incomplete | content_filter | failed cancelled
Anthropic | end_turn stop_sequence | tool_use | max_tokens model_context_window_exceeded | refusal | pause_turn
Gemini, Vertex AI | STOP | | MAX_TOKENS CONTINUATION | SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII \
IMAGE_SAFETY IMAGE_RECITATION IMAGE_PROHIBITED_CONTENT IMAGE_OTHER MODEL_ARMOR ESCALATION JAILBREAK | OTHER MALFORMED_FUNCTION_CALL \
UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS NO_IMAGE MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE PUP_LIMITED_DISABLED \
FINISH_REASON_UNSPECIFIED
Mistral | stop | tool_calls | length model_length | | error
Cohere | COMPLETE STOP_SEQUENCE | TOOL_CALL | MAX_TOKENS ERROR_LIMIT | ERROR_TOXIC | ERROR TIMEOUT USER_CANCEL
Bedrock Converse | end_turn stop_sequence | tool_use | max_tokens model_context_window_exceeded | guardrail_intervened \
content_filtered | malformed_model_output malformed_tool_use
Amazon Titan | FINISHED FINISH STOP_CRITERIA_MET | | LENGTH | CONTENT_FILTERED | RAG_QUERY_WHEN_RAG_DISABLED
xAI | stop end_turn | tool_calls | length max_len | content_filter |
DeepSeek | stop | tool_calls | length | content_filter | insufficient_system_resource
Zhipu (GLM) | stop | tool_calls | length model_context_window_exceeded | sensitive | network_error
Baidu Qianfan | normal stop | function_call | length | content_filter |
Tencent Hunyuan | stop | tool_calls | length | sensitive |
MiniMax | stop | tool_calls | length max_output | content_filter |
Together, Fireworks, Databricks, Perplexity | stop eos | tool_calls function_call | length | | error
watsonx.ai | eos_token stop_sequence | | max_tokens token_limit | | not_finished cancelled time_limit error
AI21 | endoftext stop | | length | |
Aleph Alpha | end_of_text stop_sequence_reached | | maximum_tokens | |
Replicate | succeeded | | | | failed canceled
vLLM, Aphrodite, SGLang | stop | tool_calls | length | content_filter | abort error repetition
Text Generation Inference | eos_token stop_sequence | | length | |
TensorRT-LLM, Triton | stop end_id stop_words | | length | | timeout cancelled
Ollama | stop | | length | | load unload
llama.cpp | stop eos word | tool_calls | length limit | |
LM Studio | eosFound stopStringFound | toolCalls | maxPredictedTokensReached contextLengthReached | | userStopped modelUnloaded failed
MLC LLM | stop | tool_calls | length | | error preempt
"""

SERVICES: dict[str, tuple[tuple[str, ...], ...]] = {
    name.strip(): tuple(tuple(reasons.split()) for reasons in columns)
    for name, *columns in (row.split("|") for row in _ROWS.strip().splitlines())
}
"""By service: the reasons with which a reply is taken, calls a tool, is truncated, refused, broken off."""
