"""How Marian models (OPUS-MT) read a source sentence.

The pieces of the text, then the end token. A model with several target languages wants the target's name before them
(``>>fra<<``); the others have none, and an empty ``target_token``. The tokens decoded are the target's pieces alone.
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
