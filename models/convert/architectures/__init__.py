"""A page for each family of decoders: what its configuration assumes, its facts, the names of its weights.

Most are Llama's page with a line or two. A new one is a module here and a line in ``PAGES``.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from models.convert.architectures.page import Page

PAGES: Mapping[str, str] = {
    "GPT2LMHeadModel": "gpt2:GPT2",
    "Gemma2ForCausalLM": "gemma:GEMMA2",
    "Gemma3ForCausalLM": "gemma:GEMMA3",
    "Gemma3ForConditionalGeneration": "gemma:GEMMA3_OF_IMAGES",
    "GemmaForCausalLM": "gemma:GEMMA",
    "LlamaForCausalLM": "llama:LLAMA",
    "MistralForCausalLM": "llama:MISTRAL",
    "Qwen2ForCausalLM": "qwen:QWEN2",
    "Qwen3ForCausalLM": "qwen:QWEN3",
}
"""Architecture to ``module:page``."""


def page_of(architecture: str) -> Page:
    """The page of an architecture in ``PAGES``."""
    module, _, name = PAGES[architecture].partition(":")
    return cast(Page, getattr(import_module(f"{__name__}.{module}"), name))
