"""Source rows of OpenNMT's models (Argos Translate's packages): the pieces of the text and nothing else.

A model with several target languages decodes after the name of the target; other models have an empty
``target_token``.
"""

from collections.abc import Sequence

from models.cards import TranslationSpec
from models.families.hearth_translate import max_target_tokens

__all__ = ["max_target_tokens", "source_row", "target_prefix"]


def source_row(section: TranslationSpec, pieces: Sequence[str], source: str, target: str) -> list[str]:
    """The source tokens of one sentence."""
    return list(pieces)


def target_prefix(section: TranslationSpec, target: str) -> list[str]:
    """The tokens at the beginning of every decoded row, which are not part of the translation."""
    name = section.token(target)
    return [name] if name else []
