"""Runs the converted model on conversations, for evaluation: segments in, completion out.

Contract: greedy, one conversation at a time; the server does the same with batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import sentencepiece

from models.families.hearth_assistant import (
    BOS,
    CALL,
    END,
    NEVER_WRITTEN,
    SPECIAL_TOKENS,
    Completion,
    Message,
    Tool,
    parse_completion,
    segments,
)
from models.recipes.assistant.batches import encode

_PROMPT_LIMIT_TOKENS = 880  # leaves room for an answer in the context of 1024


class Assistant:
    """A model folder, loaded."""

    def __init__(self, folder: Path, tokenizer: Path, compute_type: str, threads: int = 1) -> None:
        self._generator = ctranslate2.Generator(
            str(folder), device="cpu", compute_type=compute_type, intra_threads=threads
        )
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))

    def pieces(self, conversation: Sequence[str]) -> list[str]:
        """The conversation's pieces, without the oldest turns if it is too long."""
        row = encode(conversation, self.tokenizer, 1 << 20).ids.tolist()
        pieces: list[str] = [self.tokenizer.id_to_piece(i) for i in row]
        if len(pieces) > _PROMPT_LIMIT_TOKENS:
            pieces = [BOS, *pieces[1 - _PROMPT_LIMIT_TOKENS :]]
        return pieces

    def complete(
        self, conversation: Sequence[str], limit_tokens: int = 128, *, may_call: bool = True
    ) -> tuple[str, int]:
        """Greedy completion as text with special tokens, and its length in tokens."""
        result = self._generator.generate_batch(
            [self.pieces(conversation)],
            max_length=limit_tokens,
            include_prompt_in_result=False,
            end_token=[END],
            return_end_token=True,
            suppress_sequences=[[token] for token in (*NEVER_WRITTEN, *(() if may_call else (CALL,)))],
        )[0]
        return self.text(result.sequences[0]), len(result.sequences[0])

    def text(self, pieces: Sequence[str]) -> str:
        """Pieces as text, special tokens literal."""
        out: list[str] = []
        plain: list[str] = []
        for piece in pieces:
            if piece in SPECIAL_TOKENS:
                out += [self.tokenizer.decode(plain), piece]
                plain = []
            else:
                plain.append(piece)
        return "".join([*out, self.tokenizer.decode(plain)])

    def answer(self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, may_call: bool = True) -> Completion:
        """The next assistant turn."""
        text, _ = self.complete(segments(messages, tools, add_generation_prompt=True), may_call=may_call)
        return parse_completion(text, tools)

    def assistant_loss(self, conversation: Sequence[str], limit_tokens: int) -> tuple[float, int]:
        """Negative log likelihood of the assistant's output, and its number of tokens."""
        row = encode(conversation, self.tokenizer, limit_tokens)
        pieces = [self.tokenizer.id_to_piece(i) for i in row.ids.tolist()]
        log_probabilities = self._generator.score_batch([pieces])[0].log_probs
        counted = [v for v, w in zip(log_probabilities, row.weights[1:].tolist(), strict=True) if w >= 1]
        return -math.fsum(counted), len(counted)
