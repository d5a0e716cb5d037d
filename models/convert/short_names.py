"""Short names of popular models, and their repositories.

A name is ``model:size``, as in other local servers; the licence is the maker's. A fourth word pins the commit. Without
it the newest commit is downloaded, and the manifest records it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShortName:
    """The meaning of a short name."""

    repository: str
    license: str
    revision: str | None = None
    """The commit to download; None: the newest."""

    def said(self, name: str) -> str:
        """The message for a user who asks for this name."""
        which = f"revision {self.revision[:12]}" if self.revision else "the newest revision"
        return f"{name} is {self.repository}, {which} ({self.license})"


_TABLE = """
smollm2:135m HuggingFaceTB/SmolLM2-135M-Instruct apache-2.0
smollm2:360m HuggingFaceTB/SmolLM2-360M-Instruct apache-2.0
smollm2:1.7b HuggingFaceTB/SmolLM2-1.7B-Instruct apache-2.0
qwen2.5:0.5b Qwen/Qwen2.5-0.5B-Instruct apache-2.0
qwen2.5:1.5b Qwen/Qwen2.5-1.5B-Instruct apache-2.0
qwen2.5-coder:0.5b Qwen/Qwen2.5-Coder-0.5B-Instruct apache-2.0
qwen2.5-coder:1.5b Qwen/Qwen2.5-Coder-1.5B-Instruct apache-2.0
qwen3:0.6b Qwen/Qwen3-0.6B apache-2.0
qwen3:1.7b Qwen/Qwen3-1.7B apache-2.0
qwen3:4b Qwen/Qwen3-4B apache-2.0
llama3.2:1b meta-llama/Llama-3.2-1B-Instruct llama3.2
llama3.2:3b meta-llama/Llama-3.2-3B-Instruct llama3.2
gemma3:270m google/gemma-3-270m-it gemma
gemma3:1b google/gemma-3-1b-it gemma
olmo2:1b allenai/OLMo-2-0425-1B-Instruct apache-2.0
phi2:2.7b microsoft/phi-2 mit
phi3.5:3.8b microsoft/Phi-3.5-mini-instruct mit
phi4-mini:3.8b microsoft/Phi-4-mini-instruct mit
pythia:160m EleutherAI/pythia-160m apache-2.0
tinyllama:1.1b TinyLlama/TinyLlama-1.1B-Chat-v1.0 apache-2.0
gpt2:124m openai-community/gpt2 mit
"""
SHORT_NAMES: Mapping[str, ShortName] = {
    name: ShortName(*facts) for name, *facts in map(str.split, _TABLE.strip().splitlines())
}


def folder_name(short: str) -> str:
    """The id of a model with this short name; a folder's name cannot have a colon."""
    return short.lower().replace(":", "-")
