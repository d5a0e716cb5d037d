"""Which rows may share an engine call, and what a row costs: what each engine's batch-wide options imply.

No engine library is imported here: the HTTP process batches by these functions.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from server.engines.rows import EncoderRow, GenerationRow, TranslationRow

if TYPE_CHECKING:
    from server.engines.fake import FakeRow


def generator(row: GenerationRow) -> Hashable:
    """CTranslate2's ``generate_batch`` takes one set of sampling options a call.

    A prompt of one token must not share a call with longer ones: the others' results would begin with
    their prompts (``return_prefix`` stays set when nothing is forwarded before decoding).
    """
    return seq2seq(row), len(row.prompt) == 1


def seq2seq(row: GenerationRow) -> Hashable:
    """As for ``generate_batch``, but an answer begins anew after a prompt of any length."""
    s = row.sampling
    greedy = s.temperature == 0 or s.top_k == 1
    options = () if greedy else (s.temperature, s.top_k, s.top_p)
    return options, row.logprobs is not None


def step(row: GenerationRow) -> Hashable:
    """Our own decode engine samples each row by its own options: any rows go together."""
    return ()


def generation_tokens(row: GenerationRow) -> int:
    """The prompt, and what may come of it."""
    return len(row.prompt)


def translator(row: TranslationRow) -> Hashable:
    """Decoding options, the length limit among them, hold for a whole call; rows begin after as many tokens."""
    options = row.repetition_penalty, row.no_repeat_ngram, row.alignment, len(row.target_prefix)
    return row.beam_size, row.hypotheses, row.max_tokens, *options


def translation_tokens(row: TranslationRow) -> int:
    """The source's length; the target's is about the same."""
    return len(row.source)


def encoder(row: EncoderRow) -> Hashable:
    """Any rows go together."""
    return ()


def encoder_tokens(row: EncoderRow) -> int:
    """The row's length."""
    return len(row.ids)


def fake(row: "FakeRow") -> Hashable:
    """The row says itself."""
    return row.key


def fake_tokens(row: "FakeRow") -> int:
    """The row says itself."""
    return row.tokens
