"""Translation: which direction a text goes, through which languages, and its sentences as work.

Sentences of all requests are batched together. Pairs that no single pass serves go through a pivot
language. Knows no HTTP; every refusal comes from ``begin``, before anything is queued.
"""

from collections.abc import Callable, Sequence
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
from server.tasks.translation.html_blocks import Rules
from server.tasks.translation.progress import Text, TranslationOptions, TranslationProgress
from server.tasks.translation.rows import Rows

UNKNOWN = "und"
"""ISO 639-2 for a language that cannot be told: there is nothing to translate."""


class TranslationTask:
    """Translation on one encoder-decoder model."""

    def __init__(self, model: Model, section: TranslationSpec, family: ModuleType) -> None:
        self._model = model
        self._section = section
        self._family = family
        self._rows = Rows(model.tokenizer, family, section, model.card.context_length_tokens)
        prepare()

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._model.tokenizer

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it reads and writes."""
        return self._section.languages

    def translates_directly(self, source: str, target: str) -> bool:
        """Whether it serves this direction in one pass."""
        return self._section.covers(source, target)

    def translates(self, source: str, target: str) -> bool:
        """Whether it serves this direction, directly or through a pivot."""
        return self._find_route(source, target) is not None

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
        self._model.require_ready()
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
            self._model.batcher.require_room(before + sentences)

        for text in texts:
            prepared.append(self._prepare(text, source, target, options.rules, glossary, require_room))
            before += len(prepared[-1].document.sentences)
        return TranslationProgress(prepared, target, options, self._model.batcher, self._rows)

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
            detected = detect(plain_text(runs), self._section.languages)
            source = detected[0] if detected else UNKNOWN
        route = self._route(source, target)
        if not route:
            return Text(source, detected, untouched(text), ())
        document = build(
            runs,
            source,
            is_markup=rules is not None,
            glossary=glossary,
            count_tokens=self._rows.count_tokens,
            limit_tokens=self._model.card.context_length_tokens - 2,
            require_room=require_room,
        )
        return Text(source, detected, document, route)

    def _route(self, source: str, target: str) -> tuple[str, ...]:
        """The languages to go through, the target last; empty when there is nothing to do."""
        if source in (target, UNKNOWN):
            return ()
        route = self._find_route(source, target)
        if route is None:
            raise InvalidValue(f"The model '{self.card.id}' does not translate from {source} to {target}.", "target")
        return route

    def _find_route(self, source: str, target: str) -> tuple[str, ...] | None:
        covers = self._section.covers
        if not {source, target} <= set(self.languages):
            return None
        if covers(source, target):
            return (target,)
        pivots = (each for each in self.languages if covers(source, each) and covers(each, target))
        pivot = next(pivots, None)
        return None if pivot is None else (pivot, target)

    def _require_language(self, code: str, field: str) -> None:
        if code not in self._section.languages:
            known = ", ".join(self._section.languages)
            raise InvalidValue(f"'{code}' is not a language of '{self.card.id}'; it knows {known}.", field)


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

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that any of them reads or writes."""
        return tuple(dict.fromkeys(code for task in self._tasks for code in task.languages))

    def translates(self, source: str, target: str) -> bool:
        """Whether any of them serves this direction."""
        return any(task.translates(source, target) for task in self._tasks)

    async def pick(self, texts: Sequence[str], source: str | None, target: str) -> TranslationTask:
        """Which of them translates these texts: one that needs no language between before one that does, and then
        the one with the fewest languages, for it was made for them.

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
        writing = [task for task in self._tasks if any(task.translates(each, target) for each in task.languages)]
        if not writing:
            known = ", ".join(sorted({code for code in self.languages if self._is_target(code)}))
            raise InvalidValue(f"No model here translates to '{target}'; to these some do: {known}.", "target")
        sources = [source] if source is not None else await self._sources(texts, writing)
        wanted = [each for each in dict.fromkeys(sources) if each != target]
        able = [task for task in writing if all(task.translates(each, target) for each in wanted)]
        if not able:
            raise InvalidValue(
                f"No model here translates from {' and '.join(wanted)} to {target}. "
                "Texts in several languages may need a request each.",
                "source",
            )
        return next((t for t in able if all(t.translates_directly(each, target) for each in wanted)), able[0])

    def _is_target(self, code: str) -> bool:
        return any(task.translates(each, code) for task in self._tasks for each in task.languages)

    @staticmethod
    async def _sources(texts: Sequence[str], writing: Sequence[TranslationTask]) -> list[str]:
        """The language of each text that has one, among all that may be read."""
        candidates = {code for task in writing for code in task.languages}
        return [found[0] for found in await tell(texts, candidates) if found is not None]
