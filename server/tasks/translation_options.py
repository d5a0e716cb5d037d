"""How texts are to be translated, as one request asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.tasks.text.blocks import Rules
from server.tasks.text.glossary import Term


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """The options of one request. The defaults are those of the model's manifest, for plain text."""

    alternatives: int = 0
    """How many more hypotheses to return for each text."""
    beam_size: int | None = None
    """None: what the manifest says; never fewer than the hypotheses."""
    rules: Rules | None = None
    """Which elements of HTML or XML are what; None for plain text."""
    glossary: Sequence[Term] = ()
