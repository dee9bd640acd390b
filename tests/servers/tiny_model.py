"""Writes a tiny language model that llama.cpp and transformers load: no training, no download, under a megabyte.

It is a Llama architecture whose weights make it a unigram model over about ninety words, where the closing quote,
commas, digits and the end token have the chance that makes answers end. The text is nonsense made of real words; what
is real is the server around it: wire format, token counts, finish reasons, constrained decoding, failures.

Two dimensions of the embedding are not random. Dimension 0 is a constant, so that the output matrix's column 0 is a
bias per token. Dimension 1 is set for the token `<|answer|>` alone, which the chat template puts before an answer that
may call a tool: it makes the opening brace certain, so that a forced tool call starts at once, as a trained model's
would.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["write_tiny_model", "write_tiny_transformers"]

WORDS = (  # noqa: SIM905 - ninety quoted words would be harder to read
    "the a of and in to is was for on with as by at from that this it not or be are have had they you we can will "
    "orbit market poem garden winter engine signal protein theorem contract river harvest bread storm copper cloud "
    "violin budget court island desert turbine camera memory planet comet fabric kitchen school doctor ticket "
    "trail summit battery network packet kernel thread coffee wheat "
    "question answer what why how who when which because therefore user assistant system title score reason"
).split()
# Not named <|call|>: llama.cpp takes a token of that name for an end of text.
SPECIAL = ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>", "<|answer|>"]
TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n"
    "{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif -%}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content if m.content else '' }}"
    "{% if m.tool_calls %}{% for call in m.tool_calls %}"
    '{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}'
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% if tools %}<|answer|>{% endif %}{% endif %}"
)
CONTEXT, DIM, LAYERS, HEADS, KV_HEADS, FFN = 4096, 64, 2, 4, 2, 128
ANSWER_TOKENS, NOISE = 30, 0.7
BIAS_VALUE, SPREAD = 5.0, 0.5


def write_tiny_model(path: Path) -> None:
    """Writes the model as GGUF, about 660 kB. The same bytes at every call."""
    tokenizer = _train_tokenizer()
    vocab = tokenizer.get_vocab()
    _write_gguf(path, tokenizer, _weights(vocab))


def write_tiny_transformers(folder: Path, *, chat: bool = True, context: int = CONTEXT) -> None:
    """Writes the same model as a folder for transformers. `chat=False`: without a chat template, as base models are."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer()
    vocab = tokenizer.get_vocab()
    weights = {_name_in_transformers(name): array for name, array in _weights(vocab).items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {"bos_token_id": 0, "eos_token_id": [1, 4], "pad_token_id": 2}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(vocab),
        "hidden_size": DIM,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "dtype": "float32",
        "hidden_act": "silu",
        **tokens,
    }
    words = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    words |= {"chat_template": TEMPLATE} if chat else {}
    for name, content in (("config", config), ("generation_config", tokens), ("tokenizer_config", words)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _name_in_transformers(name: str) -> str:
    whole = {
        "token_embd": "model.embed_tokens",
        "output": "lm_head",
        "output_norm": "model.norm",
    }
    parts = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    stem = name.removesuffix(".weight")
    if stem in whole:
        return f"{whole[stem]}.weight"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{parts[part]}.weight"


def _train_tokenizer() -> Any:
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, 20)) + str(rng.choice([".", "?", "!"])) for _ in range(3000)]
    lines += [word.capitalize() + " " + word for word in WORDS] * 5
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def _biases(vocab: dict[str, int]) -> Any:
    bias = np.full(len(vocab), -9.0, np.float32)
    for token, number in vocab.items():
        if token.lstrip("Ġ").lower() in WORDS:
            bias[number] = 0.0 if token.startswith("Ġ") else -4.0
    word_mass = np.exp(bias).sum()
    chances = {"</s>": 1 / ANSWER_TOKENS, "<|im_end|>": 1 / ANSWER_TOKENS, '"': 1 / 10, ".": 1 / 20, ",": 1 / 20}
    chances |= {"}": 1 / 60, "]": 1 / 60, "Ġ": 1 / 100} | {str(digit): 1 / 250 for digit in range(10)}
    for token, chance in chances.items():
        bias[vocab[token]] = np.log(word_mass * chance / (1 - chance))
    for token in ("<s>", "<pad>", "<|im_start|>", "<|answer|>"):
        bias[vocab[token]] = -30.0
    return bias


def _weights(vocab: dict[str, int]) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    embedding = (rng.standard_normal((len(vocab), DIM)) * SPREAD).astype(np.float32)
    embedding[:, 0] = BIAS_VALUE
    embedding[:, 1] = 0.0
    embedding[vocab["<|answer|>"], 1] = BIAS_VALUE
    after_norm = BIAS_VALUE / np.sqrt((BIAS_VALUE**2 + (DIM - 1) * SPREAD**2) / DIM)
    head = (rng.standard_normal((len(vocab), DIM)) * NOISE / np.sqrt(DIM)).astype(np.float32)
    head[:, 0] = _biases(vocab) / after_norm
    head[vocab["{"], 1] = 10.0
    weights = {"token_embd.weight": embedding, "output.weight": head, "output_norm.weight": np.ones(DIM, np.float32)}
    kv_dim = DIM // HEADS * KV_HEADS
    shapes = {
        "attn_q": (DIM, DIM),
        "attn_k": (kv_dim, DIM),
        "attn_v": (kv_dim, DIM),
        "attn_output": (DIM, DIM),
        "ffn_gate": (FFN, DIM),
        "ffn_up": (FFN, DIM),
        "ffn_down": (DIM, FFN),
    }
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            weights[f"blk.{layer}.{norm}.weight"] = np.ones(DIM, np.float32)
        for name, shape in shapes.items():
            weights[f"blk.{layer}.{name}.weight"] = (rng.standard_normal(shape) * 0.05).astype(np.float32)
        for name in ("attn_output", "ffn_down"):
            weights[f"blk.{layer}.{name}.weight"][:2] = 0.0  # nothing may write over the two special dimensions
    return weights


def _write_gguf(path: Path, tokenizer: Any, weights: dict[str, Any]) -> None:
    import gguf

    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])]
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(DIM)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(DIM // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = (gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    writer.add_token_types([int(kinds[token not in SPECIAL]) for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, array in weights.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
