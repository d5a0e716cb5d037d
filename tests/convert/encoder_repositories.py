"""Encoder repositories as a hub keeps them: real architectures, a few thousand random weights, real tokenizer files."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from models.convert.passage import PASSAGE

POSITIONS = 128


@dataclass(frozen=True)
class Kind:
    """One architecture: the names of its classes, its tokenizer, and what its configuration calls its sizes."""

    name: str
    tokenizer: Callable[[], tokenizers.Tokenizer]
    tokenizer_class: str
    sizes: Mapping[str, Any]
    unused_positions: int = 0


def word_piece() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.WordPiece(**{"unk_token": "[UNK]"}))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator([PASSAGE], trainers.WordPieceTrainer(vocab_size=400, special_tokens=specials))
    made.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def byte_level() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
    made.train_from_iterator([PASSAGE], trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made


def unigram() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.decoder = decoders.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=specials, **{"unk_token": "<unk>"})
    made.train_from_iterator([PASSAGE], trainer)
    made.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


_BERT = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_ROTATING = {**_BERT, "layer_norm_eps": 1e-5}
_DISTIL = {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
_ROBERTA = {**_BERT, "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}

KINDS = {
    kind.name: kind
    for kind in (
        Kind("Bert", word_piece, "BertTokenizer", _BERT),
        Kind("Camembert", unigram, "CamembertTokenizer", _ROBERTA, unused_positions=2),
        Kind("DistilBert", word_piece, "DistilBertTokenizer", _DISTIL),
        Kind("Electra", word_piece, "ElectraTokenizer", {**_BERT, "embedding_size": 48}),
        Kind("MPNet", word_piece, "BertTokenizer", {**_BERT, "pad_token_id": 1}, unused_positions=2),
        Kind("Gte", word_piece, "BertTokenizer", _ROTATING),
        Kind("NomicBert", word_piece, "BertTokenizer", _ROTATING),
        Kind("Roberta", byte_level, "RobertaTokenizer", _ROBERTA, unused_positions=2),
        Kind("XLMRoberta", unigram, "XLMRobertaTokenizer", _ROBERTA, unused_positions=2),
    )
}

_ROLES = {
    "word_piece": {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"},
    "other": {
        "bos": "<s>",
        "eos": "</s>",
        "unk": "<unk>",
        "pad": "<pad>",
        "cls": "<s>",
        "sep": "</s>",
        "mask": "<mask>",
    },
}


def write(folder: Path, kind: Kind, suffix: str, seed: int = 0, **config: Any) -> Path:
    """Write a repository.

    Args:
        folder: where to.
        kind: the architecture.
        suffix: ``Model`` or ``ForSequenceClassification``.
        seed: of the weights.
        **config: more of the configuration.
    """
    import torch
    import transformers

    tokenizer = kind.tokenizer()
    sizes = {**kind.sizes, "vocab_size": 408, "max_position_embeddings": POSITIONS + kind.unused_positions}
    torch.manual_seed(seed)
    made = getattr(transformers, f"{kind.name}Config")(**sizes, initializer_range=0.3, **config)
    model = getattr(transformers, f"{kind.name}{suffix}")(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms begin as 0 and 1, which hides what is forgotten
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = _ROLES["word_piece" if kind.tokenizer is word_piece else "other"]
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": kind.tokenizer_class,
                "model_max_length": 10**30,
                **{f"{role}_token": token for role, token in roles.items()},
            }
        )
    )
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def write_pipeline(folder: Path, *, mode: str = "mean_tokens", normalize: bool = True, most_tokens: int = 64) -> None:
    """Write sentence-transformers' files beside a body."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] if normalize else [])]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{each}": each == mode for each in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 48, **modes}))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": most_tokens, "do_lower_case": False})
    )
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
