"""How the translation model reads a source sentence.

One model for all directions: the first token of a source row says the target language, then come the pieces of the
text, and nothing after them. The tokens decoded are the target's pieces alone.
"""

from collections.abc import Sequence

from models.cards import TranslationSpec


def source_row(section: TranslationSpec, pieces: Sequence[str], source: str, target: str) -> list[str]:
    """The source tokens of one sentence.

    Args:
        section: the manifest's translation section.
        pieces: the sentence's tokens, without control tokens.
        source: code of its language, one of the manifest's.
        target: code of the target language, one of the manifest's.
    """
    return [section.token(target), *pieces]


def target_prefix(section: TranslationSpec, target: str) -> list[str]:
    """The tokens that every translation begins with, and which are no part of it."""
    return []


def max_target_tokens(section: TranslationSpec, source_tokens: int) -> int:
    """How many tokens a translation may have: some more than any good one needs, so that loops end."""
    return int(section.max_target_ratio * source_tokens) + 10
