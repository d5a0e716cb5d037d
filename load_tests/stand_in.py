"""A model folder of a real size for timing: random weights, and a tokenizer that can write any text.

What a step costs does not depend on the weights' values; what a token costs outside of the engine depends on its text,
so the pieces are about as long as a real vocabulary's.
"""

import json
import random
import string
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers
from tokenizers.models import Unigram

from load_tests.step import shapes
from models.cards import GenerationSpec, Manifest, TokenizerSpec
from models.writing import digests, write_manifest

CONTEXT_TOKENS = 1024
TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
_CONTROL = ("<unk>", "<s>", "</s>")
_CHARACTERS = string.ascii_letters + string.digits + string.punctuation + "▁\n"


def write(models_dir: Path, name: str) -> Path:
    """The model folder of a shape of ``load_tests.step.shapes``; one already there is taken as it is."""
    folder = models_dir / name
    if (folder / "model.toml").exists():
        return folder
    shapes.write(folder, shapes.SHAPES[name])
    tokenizer = _tokenizer(shapes.SHAPES[name].vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"))
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda piece: piece[1])
    (folder / "vocabulary.json").write_text(json.dumps([piece for piece, _ in pieces]))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    describe(folder, GenerationSpec(("</s>",), "chat_template.jinja", bos_token="<s>"))  # noqa: S106
    return folder


def describe(folder: Path, generation: GenerationSpec) -> None:
    """Write the manifest of a folder of random weights; the folder's name is the model's."""
    manifest = Manifest(
        id=folder.name,
        task="generation",
        family="hub",
        summary="Random weights.",
        license="Apache-2.0",
        created=1,
        context_length_tokens=CONTEXT_TOKENS,
        quantization="int8_float32",
        parameters=1,
        tokenizer=TokenizerSpec("huggingface", "tokenizer.json"),
        files=digests(folder),
        generation=generation,
    )
    write_manifest(folder, manifest)


def _tokenizer(size: int) -> Tokenizer:
    """Bytes, characters, and made-up words of two to nine letters, half of them with the space before."""
    draw = random.Random(1)
    pieces = dict.fromkeys((*_CONTROL, *(f"<0x{byte:02X}>" for byte in range(256)), *_CHARACTERS))
    while len(pieces) < size:
        word = "".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 9)))
        pieces["▁" * draw.randrange(2) + word] = None
    vocabulary = [(piece, 0.0 if piece in _CONTROL else -float(len(_CONTROL) + len(piece))) for piece in pieces]
    made = Tokenizer(Unigram(vocabulary, unk_id=0, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(list(_CONTROL))
    return made
