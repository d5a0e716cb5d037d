"""T5 repositories as a hub keeps them: real architectures, few random weights, a real sentencepiece tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sentencepiece

from models.convert.passage import PASSAGE
from tests.convert.decoder_repositories import change

TOKENS = 300
"""Sentinels (``<extra_id_0>``) and all."""
EXTRA_ROWS = 12
"""Embeddings beyond the tokens, as in every T5."""

KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "t5": ("T5", {"feed_forward_proj": "relu"}),
    "flan-t5": ("T5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": ("MT5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
}


def write(folder: Path, kind: str = "flan-t5", *, fast: bool = True) -> Path:
    """A repository of this kind.

    Args:
        folder: where to.
        kind: one of ``KINDS``.
        fast: with a ``tokenizer.json``; else with ``spiece.model`` alone.
    """
    import torch
    import transformers

    folder.mkdir(parents=True)
    sentencepiece_file(folder / "spiece.model")
    tokenizer = transformers.T5Tokenizer.from_pretrained(folder, extra_ids=10, model_max_length=96)
    tokenizer.save_pretrained(folder)
    (folder / ("spiece.model" if fast else "tokenizer.json")).unlink()
    name, more = KINDS[kind]
    sizes = {"d_model": 32, "d_kv": 8, "num_heads": 4, "d_ff": 64, "num_layers": 2}
    start = {"decoder_start_token_id": 0, "relative_attention_max_distance": 32, "initializer_factor": 1.0}
    config = getattr(transformers, f"{name}Config")(vocab_size=len(tokenizer) + EXTRA_ROWS, **sizes, **start, **more)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()
    with torch.no_grad():
        if more.get("tie_word_embeddings") is False:  # transformers 5 ties these whatever is said
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.3)
        for parameter in model.parameters():  # what begins as 1 hides what is forgotten
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    change(folder / "config.json", **more)  # transformers 5 writes another
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def sentencepiece_file(file: Path) -> None:
    """T5's: padding, the end and the unknown token are the first three."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PASSAGE.splitlines() * 4),
        model_prefix=str(file.with_suffix("")),
        vocab_size=TOKENS - 10,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=3,
    )
    file.with_suffix(".vocab").unlink()
