"""Source rows of M2M100 and NLLB: one kind of network with two forms of language names.

The source row begins with the name of its own language and ends with the end token. Decoding starts with the name of
the target language.
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
    """The tokens at the beginning of every decoded row, which are not part of the translation."""
    return [section.token(target)]
