"""Source rows of Marian models (OPUS-MT).

A row has the pieces of the text, then the end token. A model with several target languages needs the target's name
before the pieces (``>>fra<<``); other models have an empty ``target_token``. The decoded tokens are the target's pieces
alone.
"""

from collections.abc import Sequence

from models.cards import TranslationSpec
from models.families.hearth_translate import max_target_tokens, target_prefix

__all__ = ["max_target_tokens", "source_row", "target_prefix"]

END = "</s>"


def source_row(section: TranslationSpec, pieces: Sequence[str], source: str, target: str) -> list[str]:
    """The source tokens of one sentence."""
    name = section.token(target)
    return [*([name] if name else ()), *pieces, END]
