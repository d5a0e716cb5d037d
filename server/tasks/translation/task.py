"""Translation: which direction a text goes, through which languages, and its sentences as work.

Sentences of all requests are batched together. Pairs that no single pass serves go through a pivot
language. Knows no HTTP; every refusal comes from ``begin``, before anything is queued.
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
from server.tasks.text.language import detect, effort, prepare, served_code, tell
from server.tasks.translation.document import build, plain_text, read_segments, untouched
from server.tasks.translation.glossary import Glossary
from server.tasks.translation.markup import Rules
from server.tasks.translation.progress import Leg, Text, TranslationOptions, TranslationProgress
from server.tasks.translation.rows import Rows

PIVOT = "en"
"""The language that most models translate from or to."""
UNKNOWN = "und"
"""ISO 639-2 for a language that cannot be told: there is nothing to translate."""


@dataclass(frozen=True, slots=True, eq=False)
class _Translator:
    """One model, its directions and its rows."""

    model: Model
    section: TranslationSpec
    rows: Rows

    def leg(self, source: str, target: str) -> Leg:
        """One pass of it."""
        return Leg(source, target, self.rows, self.model.batcher)


class TranslationTask:
    """Translation on one encoder-decoder model, or on several of which one goes on where another ends."""

    def __init__(self, model: Model, section: TranslationSpec, family: ModuleType) -> None:
        self._model = model
        rows = Rows(model.tokenizer, family, section, model.card.context_length_tokens)
        self._translators: tuple[_Translator, ...] = (_Translator(model, section, rows),)
        prepare()

    def together_with(self, others: Sequence["TranslationTask"]) -> "TranslationTask":
        """This model and others as one task: each text goes the most direct way that they have."""
        made = copy(self)
        made._translators = (*self._translators, *(each for other in others for each in other._translators))
        return made

    @property
    def card(self) -> ModelCard:
        """The card of the model, of the first where there are several."""
        return self._model.card

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of all models that take part."""
        return tuple(each.model.id for each in self._translators)

    @property
    def name(self) -> str:
        """For answers: the id, or those of all that take part."""
        return "+".join(self.models)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model that writes the target: the last one's."""
        return self._translators[-1].model.tokenizer

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it reads and writes."""
        return tuple(dict.fromkeys(code for each in self._translators for code in each.section.languages))

    def translates_directly(self, source: str, target: str) -> bool:
        """Whether it serves this direction in one pass."""
        return any(each.section.covers(source, target) for each in self._translators)

    def translates(self, source: str, target: str) -> bool:
        """Whether it serves this direction, directly or through a pivot."""
        return self._find_route(source, target) is not None

    def pivot(self, source: str, target: str) -> str | None:
        """The language between, where a direction that it serves has one."""
        route = self._find_route(source, target)
        return route[0][2] if route is not None and len(route) > 1 else None

    def quality(self, source: str, target: str) -> float | None:
        """What the cards say of the route for this direction: COMET, of two passes the product; None: they do not."""
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
        """Translate texts independently; see ``begin``."""
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
        """Queue texts to be translated independently; iterate the run for sentences as they are ready.

        Args:
            texts: n texts; those with nothing to translate come back unchanged.
            source: their language, or None to detect it for each.
            target: the language to translate to; of both, a region that is not served does not count.
            options: how to.

        Raises:
            InvalidValue: a language or direction that the model does not know.
            Unavailable, Overloaded, TooLarge: not now, or not so much at once.
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
            detected = detect(plain_text(runs), self.languages)
            source = detected[0] if detected else UNKNOWN
        route = self._route(source, target)
        if not route:
            return Text(source, detected, untouched(text), ())
        document = build(
            runs,
            source,
            is_markup=rules is not None,
            glossary=glossary,
            count_tokens=route[0].rows.count_tokens,
            limit_tokens=min(leg.rows.limit_tokens for leg in route) - 2,
            require_room=require_room,
        )
        return Text(source, detected, document, route)

    def _route(self, source: str, target: str) -> tuple[Leg, ...]:
        """The passes to take; none when there is nothing to do."""
        if source in (target, UNKNOWN):
            return ()
        route = self._find_route(source, target)
        if route is None:
            raise InvalidValue(f"The model '{self.name}' does not translate from {source} to {target}.", "target")
        return tuple(each.leg(*pair) for each, *pair in route)

    def _find_route(self, source: str, target: str) -> tuple[tuple[_Translator, str, str], ...] | None:
        """Models and their directions: one, or two with a language between, English before others."""
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
    """Those that are served now; at least one."""

    def __init__(self, tasks: Sequence[TranslationTask]) -> None:
        """Take them.

        Raises:
            ModelNotFound: there is none.
        """
        if not tasks:
            raise ModelNotFound("", "translation", [])
        self._tasks = sorted(tasks, key=lambda task: (len(task.languages), task.card.id))
        self._all = self._tasks[0].together_with(self._tasks[1:])

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that any of them reads or writes."""
        return tuple(dict.fromkeys(code for task in self._tasks for code in task.languages))

    def translates(self, source: str, target: str) -> bool:
        """Whether any of them serves this direction, or two of them together do."""
        return self._all.translates(source, target)

    async def pick(self, texts: Sequence[str], source: str | None, target: str) -> TranslationTask:
        """Which of them translates these texts: one that needs no language between before one that does, and then
        the one with the fewest languages, for it was made for them. Where none does it alone, two together do, through
        a language that both know; and where the cards state the quality of all that could, the best does.

        Args:
            texts: the texts of one request.
            source: their language, or None where it is to be detected for each.
            target: the language to translate to.

        Raises:
            InvalidValue: none of them translates all of them, or none to this language.
            UnsupportedParameter: the language cannot be detected here.
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
        """Those that another model writes from what the first one writes."""
        behind = [code for task in self._tasks for code in task.languages if code not in first.languages]
        return tuple(code for code in dict.fromkeys(behind) if self._next(first, code) is not None)

    def followed_from(self, first: TranslationTask, target: str) -> TranslationTask:
        """The first one and one that goes on to the target.

        Raises:
            InvalidValue: there is none.
        """
        following = self._next(first, target)
        if following is None:
            raise InvalidValue(f"No model here goes on from '{first.card.id}' to '{target}'.", "messages")
        return first.together_with([following])

    def _next(self, first: TranslationTask, target: str) -> TranslationTask | None:
        written = [to for to in first.languages if any(first.translates_directly(of, to) for of in first.languages)]
        able = (task for task in self._tasks if any(task.translates_directly(each, target) for each in written))
        return next(able, None)

    def _ways(self, source: str, target: str) -> list[tuple[TranslationTask, ...]]:
        """Single models and pairs of them that serve a direction, the most direct first."""
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
        """The language of each text that has one, among all that are translated to the target."""
        candidates = {code for code in self.languages if code == target or self.translates(code, target)}
        return [found[0] for found in await tell(texts, candidates) if found is not None]


def _best(ways: Sequence[tuple[TranslationTask, ...]], source: str, target: str) -> tuple[TranslationTask, ...]:
    """The best of them, where the cards say how good each is; else the first."""
    stated = [way[0].together_with(way[1:]).quality(source, target) for way in ways]
    known = [value for value in stated if value is not None]
    return ways[stated.index(max(known))] if len(known) == len(ways) else ways[0]


def _comet(card: ModelCard, source: str, target: str) -> float | None:
    """The figure of this direction, where the card has one."""
    figures = (each for each in card.figures if each.metric.startswith("COMET"))
    return next((each.value for each in figures if each.name.endswith(f"{source}-{target}")), None)
