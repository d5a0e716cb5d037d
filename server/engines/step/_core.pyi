"""The types of the compiled core. core/decoder.h and core/translator.h have the contracts."""

from collections.abc import Mapping, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

BLOCK_TOKENS: int

class NoToken(IntEnum):
    """Values that a step returns in place of an id if it has chosen no token for a row."""

    NONE_ALLOWED = -1
    PROMPT_PENDING = -2

class ModelError(ValueError): ...
class Unsupported(ValueError): ...
class Incomplete(ValueError): ...

class Config:
    def __init__(
        self, *, epsilon: float = -1.0, final_softcap: float = -1.0, attention_softcap: float = -1.0
    ) -> None: ...

def inspect(path: str, config: Config) -> dict[str, int]: ...
def instruction_sets() -> list[str]: ...

class Decoder:
    def __init__(
        self,
        path: str,
        config: Config,
        threads: int,
        instruction_set: str,
        context_tokens: int,
        cache_bytes: int,
    ) -> None: ...
    def open(
        self,
        prompt: Sequence[int],
        *,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        bias: Sequence[tuple[int, float]] = (),
        seed: int = 0,
        stop_ids: Sequence[int] = (),
        min_tokens: int = 0,
        logprobs: int | None = None,
        scored: int = ...,
    ) -> int: ...
    def append(self, row: int, ids: Sequence[int]) -> None: ...
    def close(self, row: int) -> None: ...
    def reserve(self, row: int, count: int) -> bool: ...
    def preempt(self, row: int) -> None: ...
    def pending(self, row: int) -> int: ...
    def cached(self, row: int) -> int: ...
    def step(
        self,
        rows: Sequence[int],
        counts: Sequence[int],
        masks: Mapping[int, bytes] = ...,
    ) -> tuple[list[int], dict[int, tuple[float, bytes]]]: ...
    def logits(self, rows: Sequence[int], counts: Sequence[int]) -> npt.NDArray[np.float32]: ...
    def inputs(self, row: int, count: int) -> list[list[npt.NDArray[np.float32]]]: ...
    def forget_prefixes(self) -> None: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def available_blocks(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...
    @property
    def block_bytes(self) -> int: ...
    @property
    def instruction_set(self) -> str: ...

def inspect_translator(path: str, config: Config) -> dict[str, int]: ...

class Translator:
    def __init__(self, path: str, config: Config, instruction_set: str = "") -> None: ...

class Sentences:
    """The sentences of one lane; core/translator.h has the contract."""

    def __init__(self, translator: Translator) -> None: ...
    def open(
        self,
        source: Sequence[int],
        shortlist: Sequence[int] = (),
        *,
        max_tokens: int,
        end: int,
        start: int = -1,
        prefix: Sequence[int] = (),
        banned: Sequence[int] = (),
        beam: int = 1,
        hypotheses: int = 1,
        repetition_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
        alignment: bool = False,
    ) -> int: ...
    def close(self, row: int) -> None: ...
    def step(self) -> list[tuple[int, list[tuple[list[int], float, list[int]]]]]: ...
    def __len__(self) -> int: ...
