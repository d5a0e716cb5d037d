"""Decoder repositories as a hub keeps them: real architectures, a few thousand random weights, real tokenizer files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from models.convert.passage import PASSAGE

VOCABULARY = 320
POSITIONS = 512
WINDOW = 48

CHAT_ML = """{%- if tools %}<|im_start|>system
{{- '\\n' }}# Tools
{%- for tool in tools %}{{- '\\n' }}{{ tool | tojson }}{%- endfor %}
Return calls as <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "original_max_position_embeddings": 64,
}
_PHI3_LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + i / 8 for i in range(8)],
    "long_factor": [1.0 + i for i in range(8)],
    "original_max_position_embeddings": 2048,
}
_IN_TURN = ["sliding_attention", "full_attention"]
_GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 30, "sliding_window": WINDOW}

OUT = object()
"""A size that a family does not have by this name."""

KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama 3.1": ("Llama", {"rope_parameters": _LLAMA3, "tie_word_embeddings": True}),
    "llama, linear positions": (
        "Llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "llama, wide heads": ("Llama", {"head_dim": 32, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral with a window": ("Mistral", {"sliding_window": WINDOW}),
    "qwen2": ("Qwen2", {}),
    "qwen2 with a window": ("Qwen2", {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "gemma": ("Gemma", {"head_dim": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 50000.0}}),
    "gemma2": ("Gemma2", {**_GEMMA, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0}),
    "gemma3": ("Gemma3Text", {**_GEMMA, "layer_types": ["sliding_attention", "full_attention"]}),
    "gpt2": ("GPT2", {}),
    "granite": (
        "Granite",
        {
            "attention_multiplier": 0.2,
            "embedding_multiplier": 3.0,
            "logits_scaling": 4.0,
            "residual_multiplier": 0.6,
            "tie_word_embeddings": True,
        },
    ),
    "granite 4": (
        "GraniteMoeHybrid",
        {
            "attention_multiplier": 0.2,
            "embedding_multiplier": 3.0,
            "logits_scaling": 4.0,
            "residual_multiplier": 0.6,
            "num_local_experts": 0,
            "shared_intermediate_size": 80,
            "position_embedding_type": "rope",
            "layer_types": ["full_attention"] * 2,
        },
    ),
    "ernie": ("Ernie4_5", {"head_dim": 16}),
    "starcoder2": ("Starcoder2", {"sliding_window": None}),
    "smollm3": ("SmolLM3", {"no_rope_layers": [1, 0], "pad_token_id": 0}),
    "phi3": ("Phi3", {"pad_token_id": 0}),
    "phi4": (
        "Phi3",
        {
            "pad_token_id": 0,
            "head_dim": 32,
            "hidden_size": 128,
            "max_position_embeddings": 4096,
            "original_max_position_embeddings": 2048,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.75,
                "short_factor": [1.0] * 12,
                "long_factor": [1.0 + i for i in range(12)],
                "original_max_position_embeddings": 2048,
            },
        },
    ),
    "phi3.5": (
        "Phi3",
        {
            "pad_token_id": 0,
            "max_position_embeddings": 4096,
            "original_max_position_embeddings": 2048,
            "rope_parameters": _PHI3_LONG,
        },
    ),
    "qwen3 with yarn": ("Qwen3", {"head_dim": 16, "rope_parameters": _YARN}),
    "olmo2": ("Olmo2", {"pad_token_id": 0}),
    "olmo3": (
        "Olmo3",
        {
            "pad_token_id": 0,
            "sliding_window": WINDOW,
            "layer_types": _IN_TURN,
            "rope_parameters": {
                "full_attention": _YARN,
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
    ),
    "exaone4": ("Exaone4", {"head_dim": 16, "sliding_window": WINDOW, "layer_types": _IN_TURN}),
    "exaone4, small": ("Exaone4", {"head_dim": 16, "sliding_window": None, "layer_types": ["full_attention"] * 2}),
    "hunyuan": (
        "HunYuanDenseV1",
        {
            "head_dim": 16,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "alpha": 50.0, "factor": 1.0},
        },
    ),
    "gpt-neox": ("GPTNeoX", {"rotary_pct": 0.25, "num_key_value_heads": OUT}),
    "gpt-neox, one half after the other": (
        "GPTNeoX",
        {"rotary_pct": 1.0, "use_parallel_residual": False, "num_key_value_heads": OUT},
    ),
    "phi2": ("Phi", {"partial_rotary_factor": 0.5}),
    "gptj": (
        "GPTJ",
        {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS, "rotary_dim": 8}
        | dict.fromkeys(("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"), OUT)
        | dict.fromkeys(("num_key_value_heads", "max_position_embeddings"), OUT),
    ),
    "opt": ("OPT", {"ffn_dim": 96, "init_std": 0.2, "intermediate_size": OUT, "num_key_value_heads": OUT}),
}
"""Architecture and what its configuration has beside the sizes. Windows and caps are small, so that they matter."""

OWN = ("qwen3 with yarn", "olmo2", "olmo3", "exaone4", "exaone4, small", "hunyuan")
"""What CTranslate2 does not compute."""
REACH = {
    **{"mistral with a window": WINDOW, "qwen2 with a window": WINDOW, "gemma2": 0, "gemma3": WINDOW},
    **{"phi4": 2048, "phi3.5": 2048},
    **dict.fromkeys(OWN, 0),
}
"""How far CTranslate2's own loop is right."""


def byte_level() -> tokenizers.Tokenizer:
    """As Llama 3, Qwen and GPT-2 have it."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    specials = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 4, special_tokens=specials, initial_alphabet=alphabet)
    made.train_from_iterator([PASSAGE], trainer)
    made.add_tokens(["<tool_call>", "</tool_call>"])
    made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    return made


def metaspace() -> tokenizers.Tokenizer:
    """As Llama 2 and Mistral have it: a space before the first text of a row, bytes for what is unknown."""
    made = tokenizers.Tokenizer(models.BPE(**{"byte_fallback": True, "unk_token": "<unk>"}))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(steps)
    specials = ["<s>", "</s>", "<unk>", "[INST]", "[/INST]", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY + 80, special_tokens=specials[:5], show_progress=False)
    made.train_from_iterator([PASSAGE], trainer)
    return made


def write(folder: Path, kind: str = "llama", template: str | None = CHAT_ML, **config: Any) -> Path:
    """A repository of this kind; keywords change its configuration."""
    import torch
    import transformers

    name, more = KINDS[kind]
    torch.manual_seed(0)
    settings = {key: value for key, value in {**SIZES, **more, **config}.items() if value is not OUT}
    if name == "GPT2":
        settings = {"vocab_size": VOCABULARY, "n_positions": 256, "n_embd": 64, "n_layer": 2, "n_head": 4} | {
            key: settings[key] for key in ("initializer_range", "bos_token_id", "eos_token_id")
        }
    made = transformers.AutoModelForCausalLM.from_config(getattr(transformers, f"{name}Config")(**settings))
    for weight_name, weight in made.named_parameters():
        if weight.dim() == 1:  # norms and biases begin as ones and zeros: a forgotten one would not show
            around = 1.0 if ("norm" in weight_name and not name.startswith("Gemma")) or ".ln_" in weight_name else 0.0
            torch.nn.init.normal_(weight, around, 0.1)
    made.save_pretrained(folder)
    byte_level().save(str(folder / "tokenizer.json"))
    end = {"__type": "AddedToken", "content": "</s>", "special": True}
    about = {"bos_token": "<s>", "eos_token": end, "chat_template": template}
    write_json(folder / "tokenizer_config.json", {key: value for key, value in about.items() if value is not None})
    write_json(folder / "generation_config.json", {"eos_token_id": [1, 3]})
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value))


def change(file: Path, **values: Any) -> None:
    """Change keys of a JSON file; None takes one out."""
    found = {**json.loads(file.read_text()), **values}
    write_json(file, {key: value for key, value in found.items() if value is not None})
