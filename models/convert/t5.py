"""Converts T5, Flan-T5 and mT5: encoder-decoders that answer a text with a text.

Most have more embeddings than tokens; a bias of the last layer bans the ids without a token.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from models.cards import Figure, GenerationSpec, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.architectures.t5 import MT5, T5
from models.convert.chat import FILE, chat_template, stop_tokens
from models.convert.contract import USUAL_CONTEXT_TOKENS, CannotConvert, Converted, Request
from models.convert.seq2seq import network_of
from models.convert.seq2seq_check import TEXTS, Reference, answered, require_close, require_exact
from models.convert.source import Source
from models.convert.tokens import Tokens
from models.convert.translated import require_text
from models.families.t5 import TEMPLATE
from models.tokenizers import HuggingFaceTokenizer

PREFIXES = ("", "translate English to German: ", "summarize: ", "Answer the question. ")
"""Prefixes that users put before texts; the check gives each text one of them."""
TRAINED_TOKENS = 512
"""The length of T5's texts in training, used if a repository states no length."""


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    page = T5 if source.model_type == "t5" else MT5
    network = page.network(source.config)
    tokens = Tokens(source, network.rows)
    eos = tokens.specials.get("eos_token")
    first = source.config.get("decoder_start_token_id", source.config.get("pad_token_id", 0))
    start = tokens.token(first) if isinstance(first, int) else None
    if eos is None or start is None:
        raise CannotConvert(f"{source.repository} names no token that begins an answer, or none that ends a text.")
    facts = {
        "bos_token": tokens.specials.get("pad_token", start),
        "decoder_start_token": start,
        "eos_token": eos,
        "unk_token": tokens.specials.get("unk_token", start),
    }
    tokens.write(folder)
    require_text(HuggingFaceTokenizer(folder / tokenizer_file.FILE))
    (folder / FILE).write_text(chat_template(source) or TEMPLATE, encoding="utf-8")
    request.report(f"converting {source.repository}")
    figures: tuple[Figure, ...] = ()
    with network_of(source, page, network, tokens.vocabulary, facts, tokens.unreachable) as made:
        made.write(folder, request.quantization)
        if request.check != "structure":
            request.report("checking what will be served")
            with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
                made.write(Path(beside), "float32")
                figures = _checked(source, tokens, eos, Path(beside), folder, request)
    most = request.context_tokens or min(_stated(source), USUAL_CONTEXT_TOKENS)
    return Converted(
        task="generation",
        family="t5",
        context_length_tokens=most,
        parameters=made.parameters,
        tokenizer=TokenizerSpec("huggingface", tokenizer_file.FILE),
        figures=figures,
        generation=GenerationSpec(
            template=FILE,
            stop_tokens=stop_tokens(source, tokens, None),
            eos_token=eos,
            max_target_tokens=most,
            variables=dict(tokens.specials),
        ),
    )


def _checked(
    source: Source, tokens: Tokens, eos: str, exact: Path, folder: Path, request: Request
) -> tuple[Figure, ...]:
    """Compare the folder with its own weights in float32, or with the original.

    Raises:
        Mismatch: a figure is above its bound.
    """
    texts = [PREFIXES[i % len(PREFIXES)] + text for i, text in enumerate(TEXTS)]
    none: list[list[str]] = [[] for _ in texts]
    if request.check == "original":
        from models.convert.seq2seq_original import observe, read

        model, tokenizer = read(source)
        wanted = [observe(model, tokenizer, text, tokens.unreachable) for text in texts]
        _require_rows(tokens, eos, wanted)
        figures = require_exact(exact, wanted)
        return figures + require_close(folder, wanted, none, request.quantization)
    wanted = answered(exact, [Reference(text, _row(tokens, eos, text), (), ()) for text in texts], none)
    return require_close(folder, wanted, none, request.quantization, "in float32")


def _row(tokens: Tokens, eos: str, text: str) -> tuple[str, ...]:
    return (*(tokens.vocabulary[id] for id in tokens.model.encode(text, add_special_tokens=False).ids), eos)


def _require_rows(tokens: Tokens, eos: str, wanted: Sequence[Reference]) -> None:
    """Refuse a tokenizer whose rows differ from the original's."""
    for each in wanted:
        row = _row(tokens, eos, each.text)
        if row != each.row:
            raise CannotConvert(
                f"The tokens of {each.text[:40]!r} would be {list(row)}; the original reads {list(each.row)}."
            )


def _stated(source: Source) -> int:
    """The longest text that the repository states. The network itself has no last position."""
    stated = source.tokenizer_config.get("model_max_length") or source.config.get("n_positions")
    return int(stated) if isinstance(stated, int | float) and 0 < stated < 10**9 else TRAINED_TOKENS
