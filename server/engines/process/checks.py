"""A look at an engine before it serves: its files are those of the manifest, its weights and first outputs numbers.

Run in the engine's own process, so that a model which kills its engine kills nobody else's.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.finite import require_finite
from models.registry import MANIFEST, WEIGHTS, ManifestError, damaged
from models.vocabulary import read_vocabulary
from server.engines.base import NO_ROOM, Engine, Room, Turn
from server.engines.kinds import EngineSpec
from server.engines.rows import EncoderRow, GenerationRow, Sampling, Token, Translated, TranslationRow
from server.errors import EngineFailed, ServerError

ROW_TOKENS = 8
NEW_TOKENS = 2


def require_whole(spec: EngineSpec) -> None:
    """Check the folder before anything of it is loaded.

    Raises:
        ManifestError: names the files that differ from their SHA-256, or the weights that are no numbers.
    """
    if problems := damaged(Path(spec.folder), spec.digests):
        raise ManifestError(Path(spec.folder) / MANIFEST, "; ".join(problems))
    if WEIGHTS in spec.digests:
        require_finite(Path(spec.folder) / WEIGHTS)


def require_numbers(spec: EngineSpec, engine: Engine[Any, Any, Any]) -> None:
    """Run one short row and look at what comes.

    Raises:
        ManifestError: the outputs are not finite.
        Exception: whatever the engine fails with.
    """
    make = ROWS.get(spec.kind)
    if make is None:
        return
    out = _Kept(Path(spec.folder) / WEIGHTS)
    engine.run([make(read_vocabulary(Path(spec.folder)))], out)
    if not out.kept or not all(map(_is_finite, out.kept)):
        raise ManifestError(Path(spec.folder) / WEIGHTS, "the model's outputs are not finite")


class _Kept:
    """An outbox that keeps what it is given."""

    contended = False

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self.kept: list[Any] = []

    def piece(self, row: int, piece: Any) -> None:
        self.kept.append(piece)

    def done(self, row: int, outcome: Any) -> None:
        if isinstance(outcome, EngineFailed) and outcome.detail:
            raise ManifestError(self._weights, outcome.detail)
        if isinstance(outcome, ServerError):
            raise outcome
        self.kept.append(outcome)

    def step(self, room: Room = NO_ROOM) -> Turn[Any]:
        return Turn()


def _is_finite(made: Any) -> bool:
    if isinstance(made, Token):
        return made.logprob is not None and math.isfinite(made.logprob)
    if isinstance(made, Translated):
        # A hypothesis without tokens has no mean.
        return all(math.isfinite(each.mean_logprob) or not each.tokens for each in made.hypotheses)
    vector = getattr(made, "vector", None)
    return vector is None or all(map(math.isfinite, vector))


def _spread(size: int) -> list[int]:
    """Some ids from all over a vocabulary."""
    return sorted({size * i // ROW_TOKENS for i in range(ROW_TOKENS)})


def _generation(tokens: Sequence[str]) -> GenerationRow:
    return GenerationRow(_spread(len(tokens)), NEW_TOKENS, sampling=Sampling(temperature=0), logprobs=0)


def _translation(tokens: Sequence[str]) -> TranslationRow:
    return TranslationRow([tokens[i] for i in _spread(len(tokens))], NEW_TOKENS)


def _encoding(tokens: Sequence[str]) -> EncoderRow:
    return EncoderRow(_spread(len(tokens)))


ROWS: Mapping[str, Callable[[Sequence[str]], Any]] = {
    "step": _generation,
    "ct2-generator": _generation,
    "ct2-seq2seq": _generation,
    "ct2-translator": _translation,
    "step-translator": _translation,
    "ct2-encoder": _encoding,
}
