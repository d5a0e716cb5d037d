"""Chat with a translator: the answer is the translation of the last user message.

A system message names the target language by its code or its name ("German", "Deutsch", "de"). Or the user message
names it by an instruction before the text: "Translate to German: Good morning."
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
"""Names of languages in addition to the English ones, by code."""

VERBS = ("translat", "übersetz", "tradu")
"""Stems of verbs, one of which an instruction before a text must contain."""

MOST_INSTRUCTION_CHARACTERS = 200

_WORD = re.compile(r"[^\W\d_]+")
_TWO_WORDS = re.compile(r"(?<![^\W\d_])[^\W\d_]+-[^\W\d_]+")


class ChatTranslation:
    """Chat completions by a translation task, with the interface of ``Generation``."""

    def __init__(self, task: TranslationTask, beyond: Translators | None = None) -> None:
        """Serve chat with a translator.

        Args:
            task: the translator that the request names.
            beyond: all translators that are served. They translate on to languages that ``task`` does not write.
        """
        self._task = task
        self._beyond = beyond
        self._languages = task.languages if beyond is None else (*task.languages, *beyond.languages_behind(task))

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._task.card

    def effective(self, options: GenerationOptions) -> GenerationOptions:
        """The options unchanged, because translators have no recommended sampling parameters."""
        return options

    @property
    def thinks(self) -> bool:
        """Whether the model thinks: False for every translator."""
        return False

    async def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        options: GenerationOptions,
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        call_required: bool = False,
        several_calls: bool = True,
    ) -> "TranslationStream":
        """Translate the last user message.

        Raises:
            InvalidValue: the messages have no user message or name no target language that is served.
            UnsupportedParameter: the request has tools or another parameter that a translator cannot honour.
            ServerError: as ``TranslationTask.begin``.
        """
        why = f"'{self.card.id}' is a translator."
        if options.n != 1:
            raise UnsupportedParameter("n", why)
        if tools:
            raise UnsupportedParameter("tools", why)
        if options.reasoning.on or options.reasoning.effort not in (None, "none") or options.thinking_budget:
            raise UnsupportedParameter(options.reasoning.field or "thinking_budget", why)
        # Beam search gives the same text every time, so a translator honours any seed and temperature 0.
        exact = {"seed", "thinking_budget"} | ({"temperature"} if options.temperature == 0 else set())
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
        """The code of the target language and the text to translate, without an instruction before it.

        Raises:
            InvalidValue: neither the instructions nor the text name a target language.
        """
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
        """The code of the language that is named last, or None. If ``codes`` is False, only names count, not codes."""
        said = instructions.casefold()
        words = [*_WORD.findall(said), *_TWO_WORDS.findall(said)]
        named = {name: code for code in self._languages for name in _names(code)}
        by_code = {code.casefold(): code for code in self._languages}
        for table in (named, by_code) if codes else (named,):  # names first, as the codes "it" and "no" are words too
            found = next((table[word] for word in reversed(words) if word in table), None)
            if found is not None:
                return found
        return None


def _names(code: str) -> tuple[str, ...]:
    return english_name(code).casefold(), *NAMES.get(code, ())


class TranslationStream:
    """A translation as the deltas of one choice, with the interface of ``GenerationStream``.

    Args:
        run: the translation.
        tokenizer: the tokenizer that counts the tokens of the text.
        max_tokens: the most tokens of the text, which is cut after them; None is no limit.
    """

    def __init__(self, run: TranslationProgress, tokenizer: Tokenizer, max_tokens: int | None) -> None:
        self._run = run
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._sent_tokens = 0

    @property
    def usage(self) -> Usage:
        """The numbers of tokens so far. With ``max_tokens``, completion tokens are those of the text that was sent."""
        usage = self._run.usage
        return usage if self._max_tokens is None else replace(usage, completion_tokens=self._sent_tokens)

    @property
    def timing(self) -> Timing:
        """The times of the translation's events so far, in seconds."""
        return self._run.timing

    def cancel(self) -> None:
        """Cancel all rows, because the client no longer wants the translation."""
        self._run.cancel()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        """Yield a delta for each sentence, and a last one with the finish reason.

        Raises:
            ServerError: a row failed; the others are cancelled.
        """
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
        """Wait for the whole translation and return it as one choice.

        Raises:
            ServerError: a row failed; the others are cancelled.
        """
        deltas = [delta async for delta in self]
        return [Choice(0, "".join(delta.text for delta in deltas), NONE, (), deltas[-1].finish_reason or "stop")]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())
