"""The source row of the shipped translation model.

One model serves all directions: the first token of a source row names the target language, and the pieces of the text
follow to the end. The decoded tokens are the target's pieces alone.
"""

from collections.abc import Sequence

from models.cards import TranslationSpec


def source_row(section: TranslationSpec, pieces: Sequence[str], source: str, target: str) -> list[str]:
    """The source tokens of one sentence.

    Args:
        section: the manifest's translation section.
        pieces: the sentence's tokens, without control tokens.
        source: the code of the sentence's language, one of the manifest's.
        target: code of the target language, one of the manifest's.
    """
    return [section.token(target), *pieces]


def target_prefix(section: TranslationSpec, target: str) -> list[str]:
    """The tokens at the beginning of every decoded row, which are not part of the translation."""
    return []


def max_target_tokens(section: TranslationSpec, source_tokens: int) -> int:
    """The most tokens of a translation: a few more than any good translation needs, so that loops end."""
    return int(section.max_target_ratio * source_tokens) + 10
