"""Chat with a translator: the last user message is translated, as if it were a completion.

The target language is named in a system message, by its code or its name ("German", "Deutsch", "de"), or in what goes
before the text in the message itself: "Translate to German: Good morning."
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.registry import ModelCard
from models.tokenizer_base import Tokenizer
from server.batching.job import Timing
from server.errors import InvalidValue, UnsupportedParameter
from server.tasks.generation.options import ON_THE_WIRE, GenerationOptions
from server.tasks.results import NONE, Choice, Delta, Usage
from server.tasks.text.language import english_name
from server.tasks.translation.progress import TranslationProgress
from server.tasks.translation.task import TranslationTask, Translators

NAMES = {
    "en": ("englisch", "anglais", "inglés"),
    "de": ("deutsch", "allemand", "alemán"),
    "fr": ("französisch", "français", "francés"),
    "es": ("spanisch", "espagnol", "español"),
}
"""Beside the English ones."""

VERBS = ("translat", "übersetz", "tradu")
"""What an instruction before a text has one of."""

MOST_INSTRUCTION_CHARACTERS = 200

_WORD = re.compile(r"[^\W\d_]+")
_TWO_WORDS = re.compile(r"(?<![^\W\d_])[^\W\d_]+-[^\W\d_]+")


class ChatTranslation:
    """The chat face of a translation task."""

    def __init__(self, task: TranslationTask, beyond: Translators | None = None) -> None:
        """Take them.

        Args:
            task: the translator that was asked for.
            beyond: all there are: they go on to languages that it does not write.
        """
        self._task = task
        self._beyond = beyond
        self._languages = task.languages if beyond is None else (*task.languages, *beyond.languages_behind(task))

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
            InvalidValue: no user message, or no target language.
            UnsupportedParameter: a parameter that means nothing to a translator.
        """
        why = f"'{self.card.id}' is a translator."
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
        said = [_text(m) for m in messages if m.get("role") in ("system", "developer")]
        target, text = self._asked(said, text)
        task = self._task
        if self._beyond is not None and target not in task.languages:
            task = self._beyond.followed_from(task, target)
        run = await task.begin([text], None, target)
        return TranslationStream(run, task.tokenizer, options.max_tokens)

    def _asked(self, instructions: Sequence[str], text: str) -> tuple[str, str]:
        """The target language and what is to be translated: an instruction that names the language is not."""
        if (target := self._named(" ".join(instructions))) is not None:
            return target, text
        begin = text[:MOST_INSTRUCTION_CHARACTERS]
        end = min((at for at in (begin.find(":"), begin.find("\n")) if at >= 0), default=0)
        said, rest = begin[:end].casefold(), text[end + 1 :].strip()
        if rest and any(verb in said for verb in VERBS) and (target := self._named(said, codes=False)) is not None:
            return target, rest
        known = ", ".join(self._languages)
        raise InvalidValue(
            f"'{self.card.id}' is a translator: name the target language in a system message, such as 'Translate to "
            f"German', or before the text, as in 'Translate to German: Good morning.' It knows {known}.",
            "messages",
        )

    def _named(self, instructions: str, *, codes: bool = True) -> str | None:
        """The language that is named last; by its code only where ``codes`` says so."""
        said = instructions.casefold()
        words = [*_WORD.findall(said), *_TWO_WORDS.findall(said)]
        named = {name: code for code in self._languages for name in _names(code)}
        by_code = {code.casefold(): code for code in self._languages}
        for table in (named, by_code) if codes else (named,):  # names first: "it" and "no" are words, and codes as well
            found = next((table[word] for word in reversed(words) if word in table), None)
            if found is not None:
                return found
        return None


def _names(code: str) -> tuple[str, ...]:
    return english_name(code).casefold(), *NAMES.get(code, ())


class TranslationStream:
    """A translation as the deltas of one choice; the same face as ``GenerationStream``.

    Args:
        run: the translation.
        tokenizer: counts the tokens of its text.
        max_tokens: after so many the text ends.
    """

    def __init__(self, run: TranslationProgress, tokenizer: Tokenizer, max_tokens: int | None) -> None:
        self._run = run
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._sent_tokens = 0

    @property
    def usage(self) -> Usage:
        """Tokens read and made so far; where they are limited, those of the text that was sent."""
        usage = self._run.usage
        return usage if self._max_tokens is None else replace(usage, completion_tokens=self._sent_tokens)

    @property
    def timing(self) -> Timing:
        """When things happened so far."""
        return self._run.timing

    def stopped_by(self, index: int) -> None:
        """Nothing: a translator takes no stop strings."""

    def cancel(self) -> None:
        """Nobody wants the rest."""
        self._run.cancel()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        """Yield a delta a sentence."""
        async for part in self._run:
            ids = self._tokenizer.encode(part.text)
            room = len(ids) if self._max_tokens is None else self._max_tokens - self._sent_tokens
            self._sent_tokens += min(len(ids), room)
            if len(ids) > room:
                self._run.cancel()
                yield Delta(0, self._tokenizer.decode(ids[:room]).rstrip("\ufffd"))
                yield Delta(0, finish_reason="length")
                return
            yield Delta(0, part.text)
        yield Delta(0, finish_reason="stop")

    async def whole(self) -> list[Choice]:
        """Wait for all of it."""
        deltas = [delta async for delta in self]
        return [Choice(0, "".join(delta.text for delta in deltas), NONE, (), deltas[-1].finish_reason or "stop")]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())
