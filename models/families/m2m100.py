"""How M2M100 and NLLB read a source sentence: one family of network, two ways to name a language.

The source row begins with the name of its own language and ends with the end token; the translation is made to begin
with the name of the target's.
"""

from collections.abc import Sequence

from models.cards import TranslationSpec
from models.families.hearth_translate import max_target_tokens

__all__ = ["max_target_tokens", "source_row", "target_prefix"]

END = "</s>"


def source_row(section: TranslationSpec, pieces: Sequence[str], source: str, target: str) -> list[str]:
    """The source tokens of one sentence."""
    return [section.token(source), *pieces, END]


def target_prefix(section: TranslationSpec, target: str) -> list[str]:
    """The tokens that every translation begins with, and which are no part of it."""
    return [section.token(target)]
