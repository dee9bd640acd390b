"""A model that transformers runs in the measured process: random weights, real work. Needs `datafast[transformers]`."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

__all__ = ["transformers", "write_model"]

_WORDS = [f"word{number}" for number in range(2_000)]
_TOKENS = 64


def write_model(folder: str, *, layers: int) -> None:
    """Saves a model of `layers` layers of width 512, about 3 million parameters each, with a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(_WORDS),
        hidden_size=512,
        intermediate_size=1_536,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=1_024,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(_WORDS)}, unk_token=_WORDS[3]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token=_WORDS[1], pad_token=_WORDS[2]).save_pretrained(folder)


def transformers(*, folder: str, calls: int, batch_size: int) -> dict[str, float]:
    """Seconds from the first of `calls` requests at once to the last reply, the model loaded and warm; and a reply's tokens."""
    from datafast.llms import TransformersProvider
    from datafast.llms.base import Request
    from datafast.llms.replies.completion import decode_completion
    from datafast.types import Message

    provider = TransformersProvider(
        model=Path(folder), batch_size=batch_size, max_completion_tokens=_TOKENS, extra={"min_new_tokens": _TOKENS}
    )

    async def measured() -> dict[str, float]:
        backend = provider.open(max_connections=calls)

        async def ask(number: int) -> int:
            content = " ".join(_WORDS[number + 10 : number + 40])
            response = await backend.complete(Request([Message(role="user", content=content)]))
            usage = decode_completion(response.raw).usage
            return usage.output_tokens if usage else 0

        await ask(0)
        began = time.perf_counter()
        tokens = await asyncio.gather(*(ask(number) for number in range(calls)))
        wall_s = time.perf_counter() - began
        await backend.aclose()
        return {"wall_s": wall_s, "reply_tokens": sum(tokens) / calls}

    return asyncio.run(measured())
