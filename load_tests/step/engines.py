"""The engines that are compared, each with the same verbs. Models are random, of real shapes (``shapes``), or real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import ctranslate2
import numpy as np

from load_tests.step.gguf_file import silence
from load_tests.step.real import Floats, ctranslate2s, step_logits
from load_tests.step.shapes import Shape
from models.vocabulary import read_vocabulary
from server.engines.step.support import config, core

CONTEXT_TOKENS = 2048
DECODE_PROMPT_TOKENS = 32
DECODE_STEPS = 24


class Timed(Protocol):
    """One engine with one model loaded. Times are seconds of ``clock``."""

    name: str
    clock: Callable[[], float]

    def prefill_s(self, tokens: int) -> float:
        """From a prompt of so many tokens to its first token."""

    def decode_step_s(self, batch: int) -> float:
        """One token for each of ``batch`` rows of about 50 tokens."""

    def logits(self, ids: list[int]) -> Floats:
        """Of every position of a text."""

    def close(self) -> None:
        """Free the model."""


def _prompt(shape: Shape, tokens: int, seed: int) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(3, shape.vocabulary, tokens).tolist()
    return ids


class Step:
    """The step engine's core, without the Python loop over it."""

    name = "step"

    def __init__(self, folder: Path, shape: Shape, threads: int, clock: Callable[[], float]) -> None:
        self.clock = clock
        compiled = core()
        assert compiled is not None, "the step engine is not compiled"
        self._shape = shape
        self._seed = 0
        self.core = compiled.Decoder(str(folder / "model.bin"), config(folder), threads, "", CONTEXT_TOKENS, 1 << 30)

    def _open(self, tokens: int, **sampling: Any) -> int:
        self._seed += 1
        row: int = self.core.open(_prompt(self._shape, tokens, self._seed), **sampling)
        assert self.core.reserve(row, tokens)
        return row

    def prefill_s(self, tokens: int) -> float:
        row = self._open(tokens)
        began = self.clock()
        self.core.step([row], [tokens])
        took = self.clock() - began
        self.close_rows([row])
        return took

    def open_rows(self, batch: int, tokens: int, **sampling: Any) -> list[int]:
        """Rows whose prompts are read and that have made their first token."""
        rows = [self._open(tokens, **sampling) for _ in range(batch)]
        self.core.step(rows, [tokens] * batch)
        return rows

    def close_rows(self, rows: list[int]) -> None:
        """And nothing is remembered of them."""
        for row in rows:
            self.core.close(row)
        self.core.forget_prefixes()

    def decode_step_s(self, batch: int) -> float:
        rows = self.open_rows(batch, DECODE_PROMPT_TOKENS)
        began = self.clock()
        for _ in range(DECODE_STEPS):
            assert all(self.core.reserve(row, 1) for row in rows)
            self.core.step(rows, [1] * batch)
        took = (self.clock() - began) / DECODE_STEPS
        self.close_rows(rows)
        return took

    def logits(self, ids: list[int]) -> Floats:
        return step_logits(self.core, ids)

    def close(self) -> None:
        del self.core


class Generator:
    """CTranslate2's own loop, int8."""

    name = "Generator"

    def __init__(self, folder: Path, shape: Shape, threads: int, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._shape = shape
        self._vocabulary = read_vocabulary(folder)
        self._folder = folder
        self._generator = ctranslate2.Generator(
            str(folder), compute_type="int8_float32", inter_threads=1, intra_threads=threads
        )

    def _generate_s(self, batch: int, tokens: int, make: int) -> float:
        prompts = [[self._vocabulary[i] for i in _prompt(self._shape, tokens, n)] for n in range(batch)]
        began = self.clock()
        self._generator.generate_batch(
            prompts, max_length=make, include_prompt_in_result=False, end_token=[], cache_static_prompt=False
        )
        return self.clock() - began

    def prefill_s(self, tokens: int) -> float:
        return self._generate_s(1, tokens, 1)

    def decode_step_s(self, batch: int) -> float:
        first = self._generate_s(batch, DECODE_PROMPT_TOKENS, 1)
        return (self._generate_s(batch, DECODE_PROMPT_TOKENS, 1 + DECODE_STEPS) - first) / DECODE_STEPS

    def logits(self, ids: list[int]) -> Floats:
        return ctranslate2s(self._folder, "int8_float32")(ids)

    def close(self) -> None:
        del self._generator


class LlamaCpp:
    """llama.cpp through llama-cpp-python's low-level calls."""

    def __init__(self, file: Path, shape: Shape, threads: int, clock: Callable[[], float], kind: str = "Q8_0") -> None:
        self.name = f"llama.cpp {kind}"
        self.clock = clock
        import llama_cpp

        self._lib: Any = llama_cpp
        self._shape = shape
        self._silent = silence(llama_cpp)
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(str(file).encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = 4096, 512, 512, 32
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        assert self._context, "llama.cpp could not open the model"
        self._batch = llama_cpp.llama_batch_init(1024, 0, 1)

    def _decode(self, words: list[tuple[int, int, int, bool]]) -> None:
        """Words are (id, position, sequence, whether its logits are wanted)."""
        batch = self._batch
        for begin in range(0, len(words), 512):
            part = words[begin : begin + 512]
            batch.n_tokens = len(part)
            for i, (token, position, sequence, wanted) in enumerate(part):
                batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
                batch.seq_id[i][0], batch.logits[i] = sequence, wanted
            assert self._lib.llama_decode(self._context, batch) == 0
        self._lib.llama_synchronize(self._context)

    def _row(self, row: int) -> Floats:
        found: Floats = np.ctypeslib.as_array(
            self._lib.llama_get_logits_ith(self._context, row), (self._shape.vocabulary,)
        )
        return found

    def _argmax(self, row: int) -> int:
        return int(self._row(row).argmax())

    def _clear(self) -> None:
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), False)

    def prefill_s(self, tokens: int) -> float:
        self._clear()
        ids = _prompt(self._shape, tokens, 0)
        began = self.clock()
        self._decode([(token, i, 0, i + 1 == tokens) for i, token in enumerate(ids)])
        self._argmax(-1)
        return self.clock() - began

    def decode_step_s(self, batch: int) -> float:
        self._clear()
        for row in range(batch):
            ids = _prompt(self._shape, DECODE_PROMPT_TOKENS, row)
            self._decode([(token, i, row, i + 1 == len(ids)) for i, token in enumerate(ids)])
        tokens = [3] * batch
        began = self.clock()
        for n in range(DECODE_STEPS):
            self._decode([(token, DECODE_PROMPT_TOKENS + n, row, True) for row, token in enumerate(tokens)])
            tokens = [self._argmax(row) for row in range(batch)]
        return (self.clock() - began) / DECODE_STEPS

    def logits(self, ids: list[int]) -> Floats:
        self._clear()
        found = []
        for begin in range(0, len(ids), 512):
            part = list(enumerate(ids))[begin : begin + 512]
            self._decode([(token, position, 0, True) for position, token in part])
            found += [self._row(i).copy() for i in range(len(part))]
        return np.array(found)

    def close(self) -> None:
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)
