"""The engine contract for encoder-decoders over the compiled core: sentences may join and leave at any step.

Each lane decodes its sentences on one thread, and all lanes share the weights. The core promises that a sentence's
numbers never depend on the other sentences. Each sentence has its own options.
"""

import contextlib
import ctypes
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.shortlist import Shortlist
from models.vocabulary import read_target_vocabulary, read_vocabulary
from server.engines.base import Outbox, Room
from server.engines.kinds import EngineSpec
from server.engines.rows import Hypothesis, Translated, TranslationRow
from server.engines.step.support import config, core, supports_translator, translator_settings
from server.errors import EngineFailed

if TYPE_CHECKING:
    from server.engines.step._core import Sentences

MAX_ROWS = 32


def _give_back() -> None:
    """Give the free memory of a large run back to the system. That takes a millisecond, and only glibc can do it.

    Otherwise the process keeps freed memory for its next batch, which at rest is as much as a small model's weights.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class StepTranslator:
    """One encoder-decoder model. ``run`` may be called by ``spec.lanes`` threads at once.

    ``spec.options``: ``max_rows`` (the most sentences at once in a lane) and ``instruction_set`` (one of the core's,
    for tests; by default the best).

    Raises:
        ValueError: this engine cannot serve the model; the message says why.
    """

    honours: frozenset[str] = frozenset()

    def __init__(self, spec: EngineSpec) -> None:
        compiled = core()
        reason = supports_translator(spec.folder)
        if compiled is None or reason is not None:
            raise ValueError(f"The step engine cannot serve {spec.folder}: {reason}")
        folder = Path(spec.folder)
        self._compiled = compiled
        self._translator = compiled.Translator(
            f"{folder}/model.bin", config(folder), str(spec.options.get("instruction_set", ""))
        )
        sources = read_vocabulary(folder)
        self._source_ids = {token: id for id, token in enumerate(sources)}
        written = read_target_vocabulary(folder)
        self._tokens = sources if written is None else written
        self._ids = self._source_ids if written is None else {token: id for id, token in enumerate(written)}
        settings = translator_settings(folder)
        self._start, self._end = self._ids.get(settings.start, -1), self._ids[settings.end]
        self._unknown = self._source_ids[settings.unknown]
        self._banned = [self._ids[settings.unknown]] if settings.is_unknown_banned else []
        self._shortlist = Shortlist.of(folder, len(sources), len(self._tokens))
        self._positions = int(compiled.inspect_translator(f"{folder}/model.bin", config(folder))["positions"])
        self._max_rows = int(spec.options.get("max_rows", MAX_ROWS))
        _give_back()

    def run(self, rows: Sequence[TranslationRow], out: Outbox[TranslationRow, None, Translated]) -> None:
        """Translate the rows and all rows that join them, each by its own options."""
        sentences: Sentences = self._compiled.Sentences(self._translator)
        live: dict[int, int] = {}  # the number of a sentence in the run, by its number in the core
        self._take_on(rows, 0, sentences, live, out)
        given = len(rows)
        while live:
            for number, hypotheses in sentences.step():
                self._finish(live.pop(number), hypotheses, out)
            room = self._max_rows - len(live)
            turn = out.step(Room(room, room * self._positions))
            for number in [number for number, index in live.items() if index in turn.dropped]:
                sentences.close(number)
                del live[number]
            self._take_on(turn.joined, given, sentences, live, out)
            given += len(turn.joined)
        del sentences
        if given >= self._max_rows:
            _give_back()

    def close(self) -> None:
        """Free the weights."""
        del self._translator

    def _take_on(
        self,
        rows: Sequence[TranslationRow],
        first: int,
        sentences: "Sentences",
        live: dict[int, int],
        out: Outbox[TranslationRow, None, Translated],
    ) -> None:
        for index, row in enumerate(rows, first):
            try:
                live[self._open(row, sentences)] = index
            except (ValueError, TypeError, KeyError) as error:
                out.done(index, EngineFailed(detail=f"the core refused the row: {error}"))

    def _open(self, row: TranslationRow, sentences: "Sentences") -> int:
        source = [self._source_ids.get(token, self._unknown) for token in row.source]
        prefix = [self._ids[token] for token in row.target_prefix]
        return sentences.open(
            source,
            self._shortlist.of_source(source, prefix) if self._shortlist is not None else [],
            max_tokens=row.max_tokens,
            end=self._end,
            start=self._start,
            prefix=prefix,
            banned=self._banned,
            beam=row.beam_size,
            hypotheses=row.hypotheses,
            repetition_penalty=row.repetition_penalty,
            no_repeat_ngram=row.no_repeat_ngram,
            alignment=row.alignment,
        )

    def _finish(self, index: int, hypotheses: Sequence[Any], out: Outbox[TranslationRow, None, Translated]) -> None:
        if not hypotheses or math.isnan(hypotheses[0][1]):
            out.done(index, EngineFailed(detail="the model's outputs are not finite"))
            return
        made = [
            Hypothesis(tuple(self._tokens[id] for id in ids), score, tuple(alignment))
            for ids, score, alignment in hypotheses
        ]
        out.done(index, Translated(made))
