"""All translators of one server: their languages together, and which of them serves a request that names none."""

from collections.abc import Sequence

from server.errors import InvalidValue, ModelNotFound
from server.tasks.text.language import tell
from server.tasks.text.names import served_code
from server.tasks.translation import TranslationTask


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
