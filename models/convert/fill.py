"""The tokens with which models of code fill a gap, found in a vocabulary by their names."""

from models.cards import FillSpec
from models.convert.tokens import Tokens

MARKS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen 2.5 Coder, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),  # Code Llama
    ("<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"),  # DeepSeek Coder
)
"""The tokens before the text in front of the gap, before the text behind it, and before the filling."""
ENDS = (
    *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|file_separator|>", "<|endoftext|>"),
    *("<fim_pad>", "<fim-pad>", "<file_sep>", "\u2581<EOT>"),
)


def fill_spec(tokens: Tokens) -> FillSpec | None:
    """The tokens for filling a gap, found among these tokens; None if the model has none."""
    for marks in MARKS:
        if all(map(tokens.has, marks)):
            return FillSpec(*marks, stop_tokens=tuple(end for end in ENDS if tokens.has(end)))
    return None
