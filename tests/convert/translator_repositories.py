"""Translator repositories as a hub keeps them: real architectures, few random weights, real tokenizer files."""

import json
from pathlib import Path
from typing import Any

import sentencepiece

from models.convert.passage import PASSAGE

POSITIONS = 128
UNKNOWN = "<unk>"
_SIZES = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": POSITIONS,
    "init_std": 0.3,
}


def sentencepiece_model(file: Path, pieces: int, kind: str = "unigram") -> list[str]:
    """Train a sentencepiece model; its pieces."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PASSAGE.splitlines() * 4),
        model_prefix=str(file.with_suffix("")),
        vocab_size=pieces,
        model_type=kind,
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=3,
    )
    file.with_suffix(".model").rename(file)
    file.with_suffix(".vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    return [model.id_to_piece(id) for id in range(model.get_piece_size())]


def _save(folder: Path, model: Any, generation: dict[str, Any]) -> None:
    import torch

    torch.manual_seed(1)
    padding = model.config.pad_token_id
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # what begins as 0 or 1 hides what is forgotten
            if "embed_positions" not in name:
                parameter += 0.1 * torch.randn_like(parameter)
        model.get_input_embeddings().weight[padding] = 0
    for key, value in generation.items():
        setattr(model.generation_config, key, value)
    model.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlanguage:\n- en\n- de\nlicense: cc-by-4.0\n---\n")


def write_marian(folder: Path, targets: tuple[str, ...] = (), **stated: Any) -> Path:
    """An OPUS-MT repository.

    Args:
        folder: where to.
        targets: names of the target languages (``fra``), where there are several.
        **stated: fields of ``tokenizer_config.json``.
    """
    import transformers

    folder.mkdir(parents=True)
    sources = sentencepiece_model(folder / "source.spm", 260)
    others = sentencepiece_model(folder / "target.spm", 220, "bpe")
    names = [f">>{target}<<" for target in targets]
    pieces = [piece for piece in dict.fromkeys([*sources, *others]) if piece not in ("<s>", "</s>", "<unk>")]
    tokens = ["</s>", "<unk>", *names, *pieces, "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: id for id, token in enumerate(tokens)}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "MarianTokenizer", "model_max_length": 512, **stated})
    )
    pad = len(tokens) - 1
    special = {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": 0, "forced_eos_token_id": 0}
    config = transformers.MarianConfig(vocab_size=len(tokens), scale_embedding=True, **_SIZES, **special)
    _save(folder, transformers.MarianMTModel(config).eval(), {"bad_words_ids": [[pad]], "num_beams": 6})
    return folder


def write_m2m100(folder: Path) -> Path:
    """An M2M100 repository."""
    import transformers

    folder.mkdir(parents=True)
    pieces = sentencepiece_model(folder / "sentencepiece.bpe.model", 260, "bpe")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *(p for p in pieces if p not in ("<s>", "</s>", "<unk>"))]
    (folder / "vocab.json").write_text(json.dumps({token: id for id, token in enumerate(tokens)}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "M2M100Tokenizer", "model_max_length": 1024, "num_madeup_words": 8})
    )
    languages = len(transformers.M2M100Tokenizer.from_pretrained(folder).lang_code_to_id)
    _m2m100(folder, len(tokens) + languages + 8)
    return folder


def write_nllb(folder: Path) -> Path:
    """An NLLB repository, with a ``tokenizer.json``."""
    import tokenizers
    import transformers
    from tokenizers import models, pre_tokenizers, trainers

    folder.mkdir(parents=True)
    made = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator([PASSAGE], trainers.BpeTrainer(vocab_size=300, special_tokens=specials))
    model = json.loads(made.to_str())["model"]
    tokenizer = transformers.NllbTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])
    tokenizer.save_pretrained(folder)
    _m2m100(folder, len(tokenizer) + 2)
    return folder


def _m2m100(folder: Path, rows: int) -> None:
    import transformers

    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = transformers.M2M100Config(vocab_size=rows, scale_embedding=True, **_SIZES, **special)
    _save(folder, transformers.M2M100ForConditionalGeneration(config).eval(), {})
