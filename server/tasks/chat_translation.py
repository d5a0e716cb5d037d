"""Chat with a translator: the last user message is translated, as if it were a completion.

The target language is named in a system message, by its code or its name ("German", "Deutsch", "de").
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from models.registry import ModelCard
from server.batching.job import Timing
from server.errors import InvalidValue, UnsupportedParameter
from server.tasks.options import ON_THE_WIRE, GenerationOptions
from server.tasks.results import Choice, Delta, Usage
from server.tasks.text.names import english_name
from server.tasks.told import NONE
from server.tasks.translation import TranslationTask
from server.tasks.translation_run import TranslationRun

NAMES = {
    "en": ("englisch", "anglais", "inglés"),
    "de": ("deutsch", "allemand", "alemán"),
    "fr": ("französisch", "français", "francés"),
    "es": ("spanisch", "espagnol", "español"),
}
"""Beside the English ones."""

_WORD = re.compile(r"[^\W\d_]+")
_TWO_WORDS = re.compile(r"(?<![^\W\d_])[^\W\d_]+-[^\W\d_]+")


class ChatTranslation:
    """The chat face of a translation task."""

    def __init__(self, task: TranslationTask) -> None:
        self._task = task

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._task.card

    async def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        options: GenerationOptions,
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        call_required: bool = False,
        several_calls: bool = True,
    ) -> "TranslationStream":
        """Translate the last user message; a translator calls no tools.

        Raises:
            InvalidValue: no user message, or no target language in a system message.
            UnsupportedParameter: a parameter that means nothing to a translator.
        """
        why = f"'{self.card.id}' is a translator."
        if options.max_tokens is not None:
            raise UnsupportedParameter("max_tokens", why)
        if options.n != 1:
            raise UnsupportedParameter("n", why)
        if tools:
            raise UnsupportedParameter("tools", why)
        # It decodes by beam search: the same text every time, which is what seed and temperature 0 ask for.
        exact = {"seed"} | ({"temperature"} if options.temperature == 0 else set())
        for name in sorted(options.asked() - exact):
            raise UnsupportedParameter(ON_THE_WIRE.get(name, name), why)
        text = next((_text(m) for m in reversed(messages) if m.get("role") == "user"), None)
        if text is None:
            raise InvalidValue("There is no user message to translate.", "messages")
        target = self._target([_text(m) for m in messages if m.get("role") in ("system", "developer")])
        return TranslationStream(await self._task.begin([text], None, target))

    def _target(self, instructions: Sequence[str]) -> str:
        """The language that is named last in the system messages."""
        said = " ".join(instructions).casefold()
        words = [*_WORD.findall(said), *_TWO_WORDS.findall(said)]
        named = {name: code for code in self._task.languages for name in _names(code)}
        codes = {code.casefold(): code for code in self._task.languages}
        for table in (named, codes):  # names first: "it" and "no" are words, and codes as well
            found = next((table[word] for word in reversed(words) if word in table), None)
            if found is not None:
                return found
        known = ", ".join(self._task.languages)
        raise InvalidValue(
            f"'{self.card.id}' is a translator: name the target language in a system message, such as "
            f"'Translate to German'. It knows {known}.",
            "messages",
        )


def _names(code: str) -> tuple[str, ...]:
    return english_name(code).casefold(), *NAMES.get(code, ())


class TranslationStream:
    """A translation as the deltas of one choice; the same face as ``GenerationStream``."""

    def __init__(self, run: TranslationRun) -> None:
        self._run = run

    @property
    def usage(self) -> Usage:
        """Tokens read and made so far."""
        return self._run.usage

    @property
    def timing(self) -> Timing:
        """When things happened so far."""
        return self._run.timing

    def cancel(self) -> None:
        """Nobody wants the rest."""
        self._run.cancel()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        """Yield a delta a sentence."""
        async for part in self._run:
            yield Delta(0, part.text)
        yield Delta(0, finish_reason="stop")

    async def whole(self) -> list[Choice]:
        """Wait for all of it."""
        text = "".join([delta.text async for delta in self])
        return [Choice(0, text, NONE, (), "stop")]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())
