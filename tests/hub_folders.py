"""Tiny model folders as conversion leaves them, of random numbers, by CTranslate2's own writer: no torch is needed."""

from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import tokenizers
from ctranslate2.specs import common_spec, transformer_spec
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from models.cards import HeadSpec, Manifest, TokenizerSpec, TranslationSpec
from models.writing import digests, write_manifest

WIDTH, INNER, HEADS, POSITIONS = 32, 48, 4, 64
SENTENCES = ["The old ferry came in late.", "Two men mend nets by the sea.", "Why do we sleep at night?"]


class _Weights:
    """Fills a specification with random numbers."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def matrix(self, *shape: int, scale: float = 0.6) -> Any:
        return self._random.normal(0, scale, shape).astype(np.float32)

    def linear(self, target: Any, outputs: int, inputs: int) -> None:
        target.weight = self.matrix(outputs, inputs, scale=1 / np.sqrt(inputs))
        target.bias = self.matrix(outputs, scale=0.1)

    def norm(self, target: Any) -> None:
        target.gamma, target.beta = 1 + self.matrix(WIDTH, scale=0.1), self.matrix(WIDTH, scale=0.1)

    def layer(self, layer: Any, *, crossed: bool) -> None:
        self.linear(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
        self.linear(layer.self_attention.linear[1], WIDTH, WIDTH)
        self.norm(layer.self_attention.layer_norm)
        if crossed:
            self.linear(layer.attention.linear[0], WIDTH, WIDTH)
            self.linear(layer.attention.linear[1], 2 * WIDTH, WIDTH)
            self.linear(layer.attention.linear[2], WIDTH, WIDTH)
            layer.attention.linear[2].weight *= 12  # the source matters more than what has been said
            self.norm(layer.attention.layer_norm)
        self.linear(layer.ffn.linear_0, INNER, WIDTH)
        self.linear(layer.ffn.linear_1, WIDTH, INNER)
        self.norm(layer.ffn.layer_norm)


def _manifest(folder: Path, **fields: Any) -> None:
    common = {
        "id": folder.name,
        "summary": "Random numbers.",
        "license": "CC0-1.0",
        "created": 1,
        "context_length_tokens": POSITIONS,
        "quantization": "float32",
        "parameters": 1,
        "files": digests(folder),
    }
    write_manifest(folder, Manifest(**common, **fields))


def write_classifier(folder: Path, labels: tuple[str, ...], activation: Any, seed: int = 0) -> None:
    """A classifier as DistilBERT's: the first token, a dense layer, the labels."""
    folder.mkdir(parents=True)
    made = tokenizers.Tokenizer(models.WordPiece(**{"unk_token": "[UNK]"}))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=specials))
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.save(str(folder / "tokenizer.json"))
    vocabulary = [made.id_to_token(id) for id in range(made.get_vocab_size())]

    weights = _Weights(seed)
    encoder = transformer_spec.TransformerEncoderSpec(
        1, HEADS, pre_norm=False, activation=common_spec.Activation.GELU, layernorm_embedding=True
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = weights.matrix(len(vocabulary), WIDTH)
    encoder.position_encodings.encodings = weights.matrix(POSITIONS, WIDTH)
    weights.norm(encoder.layernorm_embedding)
    for layer in encoder.layer:
        weights.layer(layer, crossed=False)
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.config.unk_token = "[UNK]"  # noqa: S105  a token
    spec.register_vocabulary(vocabulary)
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    arrays = {
        "dense_weight": weights.matrix(WIDTH, WIDTH),
        "dense_bias": weights.matrix(WIDTH),
        "weight": weights.matrix(len(labels), WIDTH),
        "bias": weights.matrix(len(labels)),
    }
    np.savez(folder / "head.npz", **arrays)
    _manifest(
        folder,
        task="classification",
        family="encoder",
        tokenizer=TokenizerSpec("huggingface", "tokenizer.json"),
        heads=(HeadSpec("sentiment", labels, "softmax", "cls", "head.npz", activation),),
    )


def write_translator(folder: Path, family: str, section: TranslationSpec, seed: int = 0) -> None:
    """A translator as Marian's or M2M100's: pieces of a sentencepiece model in a vocabulary of its own."""
    folder.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 9),
        model_prefix=str(folder / "source"),
        vocab_size=70,
        hard_vocab_limit=False,
        minloglevel=3,
    )
    (folder / "source.vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.model"))
    pieces = [model.id_to_piece(id) for id in range(model.get_piece_size()) if not model.is_control(id)]
    names = [section.token(code) for code in section.languages] if section.target_token else []
    vocabulary = ["<s>", "</s>", *reversed(pieces), *names]  # another order than sentencepiece's

    weights = _Weights(seed)
    spec = transformer_spec.TransformerSpec.from_config((1, 1), HEADS)
    for part in (spec.encoder, spec.decoder):
        table = part.embeddings[0] if isinstance(part.embeddings, list) else part.embeddings
        table.weight = weights.matrix(len(vocabulary), WIDTH)
        part.position_encodings.encodings = weights.matrix(POSITIONS, WIDTH)
        weights.norm(part.layer_norm)
        for layer in part.layer:
            weights.layer(layer, crossed=part is spec.decoder)
    weights.linear(spec.decoder.projection, len(vocabulary), WIDTH)
    spec.config.decoder_start_token = "</s>"  # noqa: S105  a token
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    _manifest(
        folder,
        task="translation",
        family=family,
        tokenizer=TokenizerSpec("sentencepiece-vocabulary", "source.model"),
        translation=section,
    )
