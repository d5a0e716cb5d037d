"""The engine process: one model, its engine, and a pipe a lane.

It is run as ``python -P -m server.engines.process.child NAME FD…``. The name is for people who look at
the list of processes.

It knows the engine contract and nothing of requests. The parent's frames on a lane's pipe:

    ("rows", [(number, row), …])    a batch to run
    ("join", [(number, row), …])    rows that join the running one
    ("drop", [number, …])           these rows are cancelled
    ("pause",) ("resume",)          another engine has the cores meanwhile

and the child's, at most one a step:

    pieces, outcomes, room          [(number, piece), …], [(number, outcome), …], room for more rows

Numbers are the parent's and unique for a lane's life. When the parent goes away, so does this process.

Before it serves, the process checks that the files are those of the manifest, and that the weights and the first
outputs are numbers. It does so here, so that a model which kills its engine kills no other.
"""

import gc
import math
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from models.finite import require_finite
from models.registry import MANIFEST, WEIGHTS, ManifestError, damaged
from models.vocabulary import read_vocabulary
from server.engines.base import NO_ROOM, Engine, Room, Turn
from server.engines.kinds import KINDS, EngineSpec
from server.engines.process import wire
from server.engines.rows import EncoderRow, GenerationRow, Sampling, Token, Translated, TranslationRow
from server.errors import EngineFailed, ServerError

ROW_TOKENS = 8
NEW_TOKENS = 2


def require_whole(spec: EngineSpec) -> None:
    """Check the folder before the engine loads it.

    Raises:
        ManifestError: names the files that differ from their SHA-256, or the weights that are not finite.
    """
    if problems := damaged(Path(spec.folder), spec.digests):
        raise ManifestError(Path(spec.folder) / MANIFEST, "; ".join(problems))
    if WEIGHTS in spec.digests:
        require_finite(Path(spec.folder) / WEIGHTS)


def require_numbers(spec: EngineSpec, engine: Engine[Any, Any, Any]) -> None:
    """Run one short row, and check its outputs.

    Raises:
        ManifestError: the outputs are not finite.
        Exception: the engine's own failure.
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
    "ct2-decoder-encoder": _encoding,
    "static": _encoding,
}


class LaneOutbox:
    """The outbox of one run on this side of the pipe."""

    def __init__(self, lane: "Lane", rows: Sequence[tuple[int, Any]]) -> None:
        self._lane = lane
        self._numbers = {row: number for row, (number, _) in enumerate(rows)}
        """Numbers of the rows without an outcome: a run that rows keep joining never ends, and must not grow."""
        self._rows = {number: row for row, number in self._numbers.items()}
        self._known = len(rows)
        self._pieces: list[tuple[int, Any]] = []
        self._outcomes: list[tuple[int, Any]] = []
        self._room = NO_ROOM
        self.contended = False

    def piece(self, row: int, piece: Any) -> None:
        """Add a piece; sent with the step."""
        if (number := self._numbers.get(row)) is not None:
            self._pieces.append((number, piece))

    def done(self, row: int, outcome: Any) -> None:
        """End a row; sent with the step."""
        if (number := self._numbers.pop(row, None)) is not None:
            del self._rows[number]
            self._outcomes.append((number, outcome))

    def step(self, room: Room = NO_ROOM) -> Turn[Any]:
        """Send the step's frame and take in what the parent sent meanwhile."""
        self._flush(room)
        self._lane.listen()
        dropped = [row for number in self._lane.dropped if (row := self._rows.pop(number, None)) is not None]
        self._lane.dropped.clear()
        for row in dropped:
            del self._numbers[row]
        joined = self._lane.take_joining(room)
        for number, _ in joined:
            self._numbers[self._known] = number
            self._rows[number] = self._known
            self._known += 1
        return Turn(joined=[row for _, row in joined], dropped=dropped)

    def end(self, forgotten: ServerError) -> None:
        """Called when the engine has returned: rows without an outcome end with this error."""
        for row in sorted(self._numbers):
            self.done(row, forgotten)
        self._flush(NO_ROOM)

    def _flush(self, room: Room) -> None:
        if self._pieces or self._outcomes or room != self._room:
            wire.send_step(self._lane.pipe, self._pieces, self._outcomes, room)
            self._pieces, self._outcomes, self._room = [], [], room


class Lane:
    """One end of a pipe, and the frames from it that no run has taken yet."""

    def __init__(self, pipe: Connection, engine: Engine[Any, Any, Any]) -> None:
        self.pipe = pipe
        self._engine = engine
        self._batches: deque[list[tuple[int, Any]]] = deque()
        self._joining: deque[tuple[int, Any]] = deque()
        self.dropped: set[int] = set()

    def serve(self) -> None:
        """Run batches until the parent closes the pipe."""
        try:
            while True:
                while not (self._batches or self._joining):
                    self._hear(wire.receive(self.pipe))
                # Rows that came to join a run which has ended begin a run of their own.
                rows = list(self._joining) if self._joining else self._batches.popleft()
                self._joining.clear()
                self._run([(n, row) for n, row in rows if n not in self.dropped])
        except (EOFError, OSError):
            return

    def listen(self) -> None:
        """Take in what has come; while paused, wait for the end of the pause."""
        paused = False
        while paused or self.pipe.poll():
            word = wire.receive(self.pipe)
            paused = word[0] == "pause" or (paused and word[0] != "resume")
            self._hear(word)

    def take_joining(self, room: Room) -> list[tuple[int, Any]]:
        """Rows that join now. Only the number of rows is checked; the parent has checked the tokens."""
        return [self._joining.popleft() for _ in range(min(room.rows, len(self._joining)))]

    def _hear(self, word: tuple[Any, ...]) -> None:
        if word[0] == "rows":
            self._batches.append(word[1])
        elif word[0] == "join":
            self._joining.extend(word[1])
        elif word[0] == "drop":
            self.dropped.update(word[1])
            self._joining = deque(entry for entry in self._joining if entry[0] not in self.dropped)

    def _run(self, rows: list[tuple[int, Any]]) -> None:
        self.dropped.clear()
        if not rows:
            return
        out = LaneOutbox(self, rows)
        try:
            self._engine.run([row for _, row in rows], out)
            out.end(EngineFailed("the engine returned without an outcome for this row"))
        except ServerError as error:
            out.end(error)
        except Exception as error:
            out.end(EngineFailed(f"{type(error).__name__}: {error}"))


def main() -> None:
    """Build the engine, report that it is ready, serve the lanes, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this ends
    control, *pipes = (Connection(int(fd)) for fd in sys.argv[2:])
    spec: EngineSpec = control.recv()
    try:
        require_whole(spec)
        engine: Any = spec.build()
        require_numbers(spec, engine)
    except ManifestError as error:
        control.send(("refused", f"{error.file.name}: {error.problem}"))
        return
    except Exception as error:
        control.send(("failed", f"{type(error).__name__}: {error}"))
        return
    gc.collect()
    gc.freeze()  # the model stays: no collection need look at its objects again
    sys.setswitchinterval(0.0005)  # callbacks come from the library's threads and need the lock at once
    lanes = [threading.Thread(target=Lane(pipe, engine).serve, daemon=True) for pipe in pipes]
    for lane in lanes:
        lane.start()
    control.send(("ready", engine.cache_blocks if KINDS[spec.kind].has_cache else None))
    try:
        control.recv()  # "close", in good order
    except (EOFError, OSError):
        os._exit(1)  # the parent is gone, and with it all requests
    for lane in lanes:
        lane.join()
    engine.close()


if __name__ == "__main__":
    main()
