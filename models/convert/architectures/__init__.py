"""Pages for families of decoders: the defaults of a configuration, its facts, the names of the weights.

Most pages are Llama's with one or two changed lines. To add a family, write a module here and a line in ``PAGES``.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from models.convert.architectures.page import Page

PAGES: Mapping[str, str] = {
    "Ernie4_5ForCausalLM": "ernie:ERNIE",
    "Ernie4_5_ForCausalLM": "ernie:ERNIE",
    "Exaone4ForCausalLM": "exaone:EXAONE4",
    "GPT2LMHeadModel": "gpt2:GPT2",
    "GPTJForCausalLM": "phi:GPTJ",
    "GPTNeoXForCausalLM": "gpt_neox:GPT_NEOX",
    "Gemma2ForCausalLM": "gemma:GEMMA2",
    "Gemma3ForCausalLM": "gemma:GEMMA3",
    "Gemma3ForConditionalGeneration": "gemma:GEMMA3_OF_IMAGES",
    "GemmaForCausalLM": "gemma:GEMMA",
    "GraniteForCausalLM": "granite:GRANITE",
    "GraniteMoeHybridForCausalLM": "granite:GRANITE4",
    "HunYuanDenseV1ForCausalLM": "hunyuan:HUNYUAN",
    "LlamaForCausalLM": "llama:LLAMA",
    "MiniCPMForCausalLM": "granite:MINICPM",
    "MistralForCausalLM": "llama:MISTRAL",
    "OPTForCausalLM": "opt:OPT",
    "Olmo2ForCausalLM": "olmo:OLMO2",
    "Olmo3ForCausalLM": "olmo:OLMO3",
    "Phi3ForCausalLM": "phi3:PHI3",
    "PhiForCausalLM": "phi:PHI",
    "Qwen2ForCausalLM": "qwen:QWEN2",
    "Qwen3ForCausalLM": "qwen:QWEN3",
    "SmolLM3ForCausalLM": "smollm3:SMOLLM3",
    "Starcoder2ForCausalLM": "starcoder2:STARCODER2",
}
"""Architecture to ``module:page``."""


def page_of(architecture: str) -> Page:
    """The page of an architecture in ``PAGES``."""
    module, _, name = PAGES[architecture].partition(":")
    return cast(Page, getattr(import_module(f"{__name__}.{module}"), name))
