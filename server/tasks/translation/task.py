"""The translation task: finds the direction and the route of each text, and queues its sentences.

Sentences of all requests are batched together. If no single model translates a pair of languages, the route goes
through a pivot language. This module knows no HTTP. ``begin`` raises every refusal before it queues a row.
"""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from types import ModuleType

from models.cards import TranslationSpec
from models.registry import ModelCard
from models.tokenizer_base import Tokenizer
from server.errors import InvalidValue, ModelNotFound
from server.tasks.model import Model
from server.tasks.offload import offload, size_of
from server.tasks.results import Done, Translation
from server.tasks.text.language import detect, effort, is_foreign, prepare, served_code, tell
from server.tasks.translation.document import build, escape_markup, plain_text, read_segments, untouched
from server.tasks.translation.markup import Rules
from server.tasks.translation.messages import message_runs, written_in_message
from server.tasks.translation.placeholders import Glossary
from server.tasks.translation.progress import Leg, Text, TranslationOptions, TranslationProgress
from server.tasks.translation.rows import Rows

PIVOT = "en"
"""The language that most models translate from or to."""
UNKNOWN = "und"
"""The code of ISO 639-2 for an undetermined language. A text in it is not translated."""


@dataclass(frozen=True, slots=True, eq=False)
class _Translator:
    """One model with its directions and its `Rows`."""

    model: Model
    section: TranslationSpec
    rows: Rows

    def leg(self, source: str, target: str) -> Leg:
        """The leg of a route that this model translates."""
        return Leg(source, target, self.model.id, self.rows, self.model.batcher)


class TranslationTask:
    """Translation by one encoder-decoder model, or by several that translate one after another through a pivot."""

    def __init__(self, model: Model, section: TranslationSpec, family: ModuleType) -> None:
        self._model = model
        rows = Rows(model.tokenizer, family, section, model.card.context_length_tokens)
        self._translators: tuple[_Translator, ...] = (_Translator(model, section, rows),)
        prepare()

    def together_with(self, others: Sequence["TranslationTask"]) -> "TranslationTask":
        """This model and others as one task, which translates each text by the most direct route they have."""
        made = copy(self)
        made._translators = (*self._translators, *(each for other in others for each in other._translators))
        return made

    @property
    def card(self) -> ModelCard:
        """The card of the model, or of the first if there are several."""
        return self._model.card

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of all models that take part."""
        return tuple(each.model.id for each in self._translators)

    @property
    def name(self) -> str:
        """The name for answers: the model's id, or the ids of all models joined by ``+``."""
        return "+".join(self.models)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the last model, which writes the target."""
        return self._translators[-1].model.tokenizer

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of all languages that a model of the task reads or writes."""
        return tuple(dict.fromkeys(code for each in self._translators for code in each.section.languages))

    def translates_directly(self, source: str, target: str) -> bool:
        """Whether one model of the task translates this direction."""
        return any(each.section.covers(source, target) for each in self._translators)

    def translates(self, source: str, target: str) -> bool:
        """Whether the task translates this direction, directly or through a pivot."""
        return self._find_route(source, target) is not None

    def pivot(self, source: str, target: str) -> str | None:
        """The pivot language of this direction, or None if the route is direct or missing."""
        route = self._find_route(source, target)
        return route[0][2] if route is not None and len(route) > 1 else None

    def quality(self, source: str, target: str) -> float | None:
        """The COMET figure of this direction's route, by the model cards; for two legs the product of their figures.

        None if a card has no figure.
        """
        route = self._find_route(source, target)
        stated = [_comet(each.model.card, *pair) for each, *pair in route or ()]
        known = [value for value in stated if value is not None]
        return math.prod(known) if known and len(known) == len(stated) else None

    async def translate(
        self,
        texts: Sequence[str],
        source: str | None,
        target: str,
        options: TranslationOptions = TranslationOptions(),  # noqa: B008  frozen
    ) -> Done[Translation]:
        """Translate texts independently and wait for the translations. Takes and raises the same as ``begin``.

        Raises:
            ServerError: also if a row failed.
        """
        run = await self.begin(texts, source, target, options)
        async for _ in run:
            pass
        return run.done()

    async def begin(
        self,
        texts: Sequence[str],
        source: str | None,
        target: str,
        options: TranslationOptions = TranslationOptions(),  # noqa: B008  frozen
    ) -> TranslationProgress:
        """Queue texts to be translated independently. Iterate the result for sentences as they become ready.

        Args:
            texts: n texts; a text with nothing to translate comes back unchanged.
            source: the language of all texts, or None to detect it for each.
            target: the language to translate to. Of both languages, a region that is not served is ignored.
            options: the options of all texts.

        Raises:
            InvalidValue: the models do not know a language or a direction, or a text is not valid Unicode.
            InputTooLong: a sentence has more tokens than the model reads and cannot be split.
            Unavailable: a model has failed or is no longer served.
            Overloaded: the queue is full.
            TooLarge: the texts have more sentences than fit into the queue.
        """
        for each in self._translators:
            each.model.require_ready()
        target = served_code(target, self.languages)
        self._require_language(target, "target")
        if source is not None:
            source = served_code(source, self.languages)
            self._require_language(source, "source")
        size = size_of(texts) + size_of(term.source for term in options.glossary)
        size += effort(texts) if source is None else 0
        run = await offload(lambda: self._prepare_all(texts, source, target, options), size)
        run.submit()
        return run

    def _prepare_all(
        self, texts: Sequence[str], source: str | None, target: str, options: TranslationOptions
    ) -> TranslationProgress:
        glossary = Glossary(options.glossary)
        prepared: list[Text] = []
        before = 0

        def require_room(sentences: int) -> None:
            for batcher in {id(each.model.batcher): each.model.batcher for each in self._translators}.values():
                batcher.require_room(before + sentences)

        for text in texts:
            prepared.append(self._prepare(text, source, target, options.rules, glossary, require_room))
            before += len(prepared[-1].document.sentences)
        return TranslationProgress(prepared, target, options)

    def _prepare(
        self,
        text: str,
        source: str | None,
        target: str,
        rules: Rules | None,
        glossary: Glossary,
        require_room: Callable[[int], None],
    ) -> Text:
        runs = read_segments(text, rules)
        detected = None
        if source is None:
            plain = plain_text(runs)
            detected = detect(plain, self.languages)
            source = detected[0] if detected else UNKNOWN
            is_read = any(each.rows.spelling.reads(plain) for each in self._translators)
            if not is_read or is_foreign(plain, self.languages):
                return Text(UNKNOWN, None, untouched(text), (), ("unsupported_language",))
        route = self._route(source, target)
        if not route:
            return Text(source, detected, untouched(text), ())
        escape = str if rules is None else escape_markup
        if rules is None and (message := message_runs(text, target)) is not None:
            runs, escape = message, written_in_message
        document = build(
            runs,
            source,
            escape=escape,
            glossary=glossary,
            count_tokens=route[0].rows.count_tokens,
            limit_tokens=min(leg.rows.limit_tokens for leg in route) - 2,
            require_room=require_room,
        )
        return Text(source, detected, document, route)

    def _route(self, source: str, target: str) -> tuple[Leg, ...]:
        """The legs of the route; empty if the text needs no translation.

        Raises:
            InvalidValue: the task does not translate this direction.
        """
        if source in (target, UNKNOWN):
            return ()
        route = self._find_route(source, target)
        if route is None:
            raise InvalidValue(f"The model '{self.name}' does not translate from {source} to {target}.", "target")
        return tuple(each.leg(*pair) for each, *pair in route)

    def _find_route(self, source: str, target: str) -> tuple[tuple[_Translator, str, str], ...] | None:
        """The models of a route with their directions: one, or two with a pivot. English is the preferred pivot."""
        if not {source, target} <= set(self.languages):
            return None
        direct = self._covering(source, target)
        if direct is not None:
            return ((direct, source, target),)
        for pivot in sorted(self.languages, key=lambda code: code != PIVOT):
            first, second = self._covering(source, pivot), self._covering(pivot, target)
            if first is not None and second is not None:
                return ((first, source, pivot), (second, pivot, target))
        return None

    def _covering(self, source: str, target: str) -> _Translator | None:
        return next((each for each in self._translators if each.section.covers(source, target)), None)

    def _require_language(self, code: str, field: str) -> None:
        if code not in self.languages:
            known = ", ".join(self.languages)
            raise InvalidValue(f"'{code}' is not a language of '{self.name}'; it knows {known}.", field)


class Translators:
    """All translators that are served now; at least one."""

    def __init__(self, tasks: Sequence[TranslationTask]) -> None:
        """Choose among these translators.

        Raises:
            ModelNotFound: no translator is served.
        """
        if not tasks:
            raise ModelNotFound("", "translation", [])
        self._tasks = sorted(tasks, key=lambda task: (len(task.languages), task.card.id))
        self._all = self._tasks[0].together_with(self._tasks[1:])

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of all languages that a translator reads or writes."""
        return tuple(dict.fromkeys(code for task in self._tasks for code in task.languages))

    def translates(self, source: str, target: str) -> bool:
        """Whether one translator, or two together, translate this direction."""
        return self._all.translates(source, target)

    async def pick(self, texts: Sequence[str], source: str | None, target: str) -> TranslationTask:
        """The translator of these texts.

        A translator without a pivot is preferred to one with a pivot; among these the one with the fewest languages,
        since it is specialised in them. If no translator suffices alone, two together translate through a language that
        both know. But if all texts have one language and the cards state the quality of all routes, the best is chosen.

        Args:
            texts: the texts of one request.
            source: the language of all texts, or None to detect it for each.
            target: the language to translate to.

        Raises:
            InvalidValue: no translator translates to the target, or from the language of a text to it.
            UnsupportedParameter: no library that detects languages is installed.
        """
        if len(self._tasks) == 1:
            return self._tasks[0]
        target = served_code(target, self.languages)
        source = None if source is None else served_code(source, self.languages)
        if not self._is_target(target):
            known = ", ".join(sorted({code for code in self.languages if self._is_target(code)}))
            raise InvalidValue(f"No model here translates to '{target}'; to these some do: {known}.", "target")
        sources = [source] if source is not None else await self._sources(texts, target)
        wanted = [each for each in dict.fromkeys(sources) if each != target]
        if unserved := [each for each in wanted if not self.translates(each, target)]:
            raise InvalidValue(f"No model here translates from {' and '.join(unserved)} to {target}.", "source")
        able = [task for task in self._tasks if all(task.translates(each, target) for each in wanted)]
        able = [task for task in able if target in task.languages]
        able.sort(key=lambda task: not all(task.translates_directly(each, target) for each in wanted))
        if len(wanted) != 1:
            return able[0] if able else self._together([self._ways(each, target)[0] for each in wanted])
        ways = [(task,) for task in able] + self._ways(wanted[0], target)
        return self._together([_best(ways, wanted[0], target)])

    def languages_behind(self, first: TranslationTask) -> tuple[str, ...]:
        """The languages that another translator can translate to from the languages that ``first`` writes."""
        behind = [code for task in self._tasks for code in task.languages if code not in first.languages]
        return tuple(code for code in dict.fromkeys(behind) if self._next(first, code) is not None)

    def followed_from(self, first: TranslationTask, target: str) -> TranslationTask:
        """The translator ``first`` together with one that translates on to the target.

        Raises:
            InvalidValue: no translator does that.
        """
        following = self._next(first, target)
        if following is None:
            raise InvalidValue(f"No model here translates on from '{first.card.id}' to '{target}'.", "messages")
        return first.together_with([following])

    def _next(self, first: TranslationTask, target: str) -> TranslationTask | None:
        written = [to for to in first.languages if any(first.translates_directly(of, to) for of in first.languages)]
        able = (task for task in self._tasks if any(task.translates_directly(each, target) for each in written))
        return next(able, None)

    def _ways(self, source: str, target: str) -> list[tuple[TranslationTask, ...]]:
        """Single translators and pairs of translators for a direction, the most direct first."""
        alone = [(task,) for task in self._tasks if task.translates(source, target)]
        alone.sort(key=lambda way: not way[0].translates_directly(source, target))
        reading = [task for task in self._tasks if any(task.translates_directly(source, to) for to in task.languages)]
        writing = [task for task in self._tasks if any(task.translates_directly(of, target) for of in task.languages)]
        pairs = [(a, b) for a in reading for b in writing if (a,) not in alone and (b,) not in alone]
        pairs = [pair for pair in pairs if pair[0].together_with(pair[1:]).translates(source, target)]
        pairs.sort(key=lambda pair: pair[0].together_with(pair[1:]).pivot(source, target) != PIVOT)
        return [*alone, *pairs]

    @staticmethod
    def _together(ways: Sequence[tuple[TranslationTask, ...]]) -> TranslationTask:
        first, *others = dict.fromkeys(task for way in ways for task in way)
        return first.together_with(others) if others else first

    def _is_target(self, code: str) -> bool:
        return any(self.translates(each, code) for each in self.languages)

    async def _sources(self, texts: Sequence[str], target: str) -> list[str]:
        """The detected language of each text, among the target and all languages that are translated to it."""
        candidates = {code for code in self.languages if code == target or self.translates(code, target)}
        return [found[0] for found in await tell(texts, candidates) if found is not None]


def _best(ways: Sequence[tuple[TranslationTask, ...]], source: str, target: str) -> tuple[TranslationTask, ...]:
    """The best of these ways if the cards state the quality of each, or else the first."""
    stated = [way[0].together_with(way[1:]).quality(source, target) for way in ways]
    known = [value for value in stated if value is not None]
    return ways[stated.index(max(known))] if len(known) == len(ways) else ways[0]


def _comet(card: ModelCard, source: str, target: str) -> float | None:
    """The COMET figure of this direction, or None if the card has none."""
    figures = (each for each in card.figures if each.metric.startswith("COMET"))
    return next((each.value for each in figures if each.name.endswith(f"{source}-{target}")), None)
