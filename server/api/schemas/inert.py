"""Fields that clients send along and that ask for nothing, with the values for which this is true.

A table maps a field's name to its neutral values. These are a tuple of values; ``ANYTHING``, for a hint that cannot
change an answer; or a table again, for an object of such fields. Which table holds where is said by the bodies: their
``inert`` table has hints and ways of making an answer, which ``unknown_fields = "ignore"`` lets pass with any value;
their ``neutral`` table has what an answer is about, which is refused by name wherever it asks for something.

Knows no requests and no models.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any


class Hint(Enum):
    """A field that asks for nothing, whatever its value."""

    ANYTHING = "anything"


ANYTHING = Hint.ANYTHING

Neutral = tuple[Any, ...] | Hint | Mapping[str, Any]
Table = Mapping[str, Neutral]

CACHE: Table = {"cache_control": ANYTHING, "prompt_cache_breakpoint": ANYTHING}
"""Where a prompt may be cached; every prompt is. In messages, parts, tools and at the top."""

HINTS: Table = {
    **CACHE,
    "model": ("",),
    "user": ANYTHING,
    "metadata": ANYTHING,
    "client_metadata": ANYTHING,
    "safety_identifier": ANYTHING,
    "request_id": ANYTHING,
    "prompt_cache_key": ANYTHING,
    "prompt_cache_retention": ANYTHING,
    "prompt_cache_options": ANYTHING,
    "service_tier": ("auto", "default"),
    "store": (False,),
    "priority": (0,),
    "extra_body": ({},),
    "extra_headers": ({},),
    "extra_query": ({},),
    "options": ({},),
}
"""Fields about the client, and about storing and serving a request; at the top of every body but the peers'."""

THINKING: Table = {
    "chat_template_kwargs": {
        "enable_thinking": (False,),
        "thinking": (False,),
        "thinking_budget": (0,),
        "reasoning_effort": ("none",),
    },
    "enable_reasoning": (False,),
    "enable_thinking": (False,),
    "include_reasoning": (False, True),
    "reasoning": {
        "effort": ("none",),
        "enabled": (False,),
        "exclude": (False, True),
        "max_tokens": (0,),
        "summary": ("auto",),
        "generate_summary": (),
        "context": ("auto",),
        "mode": ("standard",),
    },
    "reasoning_budget": (0,),
    "reasoning_effort": ("none",),
    "reasoning_format": ("none", "auto", "deepseek"),
    "separate_reasoning": (False, True),
    "think": (False,),
    "thinking": {"type": ("disabled",), "budget_tokens": (0,), "clear_thinking": (False, True)},
    "thinking_budget": (0,),
    "thinking_budget_tokens": (0,),
    "thinking_token_budget": (0,),
}
"""Thinking switched off, in all spellings, for bodies without a conversation. Of a chat these are fields
(`server.api.schemas.sampling`)."""

THOUGHTS: Table = {
    "reasoning_split": (False, True),
    "stream_reasoning": (False, True),
    "thinking_forced_open": (False,),
}
"""How thoughts are streamed: apart from the answer, and as they come."""

SAMPLERS: Table = {
    # What is known here has more than one value that is off.
    "logit_bias": ([],),
    "seed": (-1,),
    "stop": ([],),
    "typical_p": (1,),
    "typical": (1,),
    "tfs_z": (1,),
    "tfs": (1,),
    "top_a": (0,),
    "top_n_sigma": (-1, 0),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "dynatemp_range": (0,),
    "dynatemp_exponent": ANYTHING,
    "dynamic_temperature": (False,),
    "smoothing_factor": (0,),
    "mirostat": (0,),
    "mirostat_mode": (0,),
    "mirostat_tau": ANYTHING,
    "mirostat_eta": ANYTHING,
    "xtc_probability": (0,),
    "xtc_threshold": ANYTHING,
    "dry_multiplier": (0,),
    "dry_base": ANYTHING,
    "dry_allowed_length": ANYTHING,
    "dry_penalty_last_n": ANYTHING,
    "dry_sequence_breakers": ANYTHING,
    "encoder_repetition_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "repeat_last_n": (-1,),
    "penalty_alpha": (0,),
    "length_penalty": (1,),
    "diversity_penalty": (0,),
    "guidance_scale": (1,),
    "num_beams": (1,),
    "use_beam_search": (False,),
    "early_stopping": (False,),
    "temperature_last": (False,),
    "penalize_nl": (False,),
    "allowed_token_ids": (),
    "bad_words": ([],),
    "banned_tokens": ([], ""),
    "stop_token_ids": ([],),
    "include_stop_str_in_output": (False,),
    "logits_processors": ([],),
    "lora": ([],),
    "min_keep": (0,),
    "n_keep": (0,),
    "n_probs": (0,),
    "n_indent": (0,),
    "id_slot": (-1,),
    "cache_prompt": (True,),
    "t_max_predict_ms": (0,),
    "timings_per_token": (False,),
    "return_progress": (False,),
    "return_tokens": (False,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "post_sampling_probs": (False,),
    "response_fields": ([],),
    "grammar": ("",),
    "grammar_lazy": (False,),
    "structured_outputs": ({},),
    "spaces_between_special_tokens": (True,),
    "skip_special_tokens": (True,),
    "mm_processor_kwargs": ({},),
    "kv_transfer_params": ({},),
    "vllm_xargs": ({},),
}
"""Samplers and settings of other servers that are off; what only goes with a sampler that is off may be anything."""

TEMPLATE: Table = {
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "documents": ([],),
    "chat_template_kwargs": THINKING["chat_template_kwargs"],
}
"""How a conversation is written."""

ROUTING: Table = {
    "transforms": ([],),
    "models": ([],),
    "plugins": ([],),
    "provider": ({},),
    "usage": {"include": (False,)},
    "fallbacks": ([],),
    "safe_prompt": (False,),
    "enable_search": (False,),
    "parse_tool_calls": (True,),
    "tool_stream": (False,),
}
"""Fields for gateways, which Hearth is not."""

SAID: Table = {
    **CACHE,
    "id": ANYTHING,
    "images": ([],),
    "annotations": ([],),
    "citations": ([],),
    "is_error": (False,),
    "metadata": ANYTHING,
    "partial": (False,),
    "prefix": (False,),
    "provider_specific_fields": ANYTHING,
    "reasoning": ("", []),
    "reasoning_content": ("", []),
    "reasoning_details": ([],),
    "refusal": ("",),
    "thinking": ("", []),
    "thinking_blocks": ([],),
    "tool_calls": ([],),
}
"""Fields of messages that came from other servers or were written for them."""

PART: Table = {**CACHE, "annotations": ([],), "citations": ([],), "id": ANYTHING, "logprobs": ([],)}
"""In parts of a message's content."""

CALL: Table = {
    **CACHE,
    "caller": ({"type": "direct"},),
    "extra_content": ANYTHING,
    "index": ANYTHING,
    "provider_specific_fields": ANYTHING,
    "thought_signature": ANYTHING,
}
"""In the calls of an assistant's message, and in their functions."""

TOOL: Table = {
    **CACHE,
    "allowed_callers": (["direct"],),
    "async": (False,),
    "defer_loading": (False,),
    "eager_input_streaming": (False, True),
    "input_examples": ([],),
    "output_schema": ({},),
    "strict": (False,),
}
"""In tools and in their functions."""

STREAM: Table = {"include_obfuscation": (False,)}
"""In ``stream_options``."""

VECTORS: Table = {
    "add_special_tokens": (True,),
    "embed_dtype": ("float32",),
    "embedding_type": ("float",),
    "endianness": ("native", "little"),
    "late_chunking": (False,),
    "truncate": (False, "NONE"),
    "truncation": (False,),
}
"""How vectors are made and written."""
