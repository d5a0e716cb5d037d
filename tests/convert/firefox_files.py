"""A tiny Firefox translator with random weights, as Marian and Mozilla write its files."""

import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from models.shortlist import HEADER, MAGIC

WIDTH, HEADS, INNER, ENCODER_LAYERS, DECODER_LAYERS = 64, 4, 96, 2, 2
TEXTS = (
    "The delivery will be delayed until Thursday because of the strike.",
    "A entrega será adiada até quinta-feira por causa da greve.",
    "Where is the nearest pharmacy? Onde fica a farmácia mais próxima?",
    "I would like a glass of water, please. Eu gostaria de um copo de água, por favor.",
)
TARGET_TEXTS = (
    "Vlak odjíždí v půl desáté, a zítra jedeme k moři.",
    "Kde je nejbližší lékárna? Chtěl bych sklenici vody, prosím.",
)
SETTINGS = f"""\
dec-cell: ssru
dec-depth: {DECODER_LAYERS}
dim-emb: {WIDTH}
enc-depth: {ENCODER_LAYERS}
tied-embeddings-all: true
transformer-decoder-autoreg: rnn
transformer-ffn-activation: relu
transformer-ffn-depth: 2
transformer-heads: {HEADS}
transformer-postprocess: dan
transformer-preprocess: ""
transformer-train-position-embeddings: false
type: transformer
"""
Item = np.ndarray | str
_FLOAT32, _CHARS, _INT8 = 0x404, 0x101, 0x4101


def write_student(
    folder: Path, direction: str = "enpt", *, shortlist: bool = True, two: bool = False, seed: int = 0
) -> Path:
    """A folder as Firefox has it; ``two``: with a vocabulary for each language, as English to Chinese."""
    folder.mkdir(parents=True)
    names = ("srcvocab", "trgvocab") if two else ("vocab",)
    sizes = []
    for name in names:
        vocabulary = vocabulary_file(TEXTS if name != "trgvocab" else TARGET_TEXTS, 96 if name != "trgvocab" else 72)
        (folder / f"{name}.{direction}.spm").write_bytes(vocabulary)
        sizes.append(sentencepiece.SentencePieceProcessor(model_proto=vocabulary).get_piece_size())
    items = student_items(sizes[0], seed, target_pieces=sizes[1] if two else None)
    write_marian(folder / f"model.{direction}.intgemm.alphas.bin", items)
    if shortlist:
        write_shortlist(folder / f"lex.50.50.{direction}.s2t.bin", sizes[0], sizes[-1])
    return folder


def vocabulary_file(texts: Sequence[str] = TEXTS, size: int = 96) -> bytes:
    """A sentencepiece model, its end token first."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*texts] * 4),
        model_writer=made,
        vocab_size=size,
        hard_vocab_limit=False,
        eos_id=0,
        unk_id=1,
        bos_id=-1,
        pad_id=-1,
        minloglevel=2,
    )
    return made.getvalue()


def student_items(pieces: int, seed: int = 0, target_pieces: int | None = None) -> dict[str, Item]:
    """The tensors by Marian's names; matrices are given by inputs and outputs, as Marian has them.

    With ``target_pieces`` each language has a table of its own.
    """
    random = np.random.default_rng(seed)
    items: dict[str, Item] = {}

    def matrix(name: str, inputs: int, outputs: int) -> None:
        items[name] = random.integers(-127, 128, (inputs, outputs)).astype(np.int8)
        items[f"{name}_QuantMultA"] = np.array([[9.5]], np.float32)

    def vector(name: str, size: int = WIDTH, middle: float = 0.0) -> None:
        items[name] = random.normal(middle, 0.1, (1, size)).astype(np.float32)

    def norm(name: str) -> None:
        vector(f"{name}_ln_scale", middle=1.0)
        vector(f"{name}_ln_bias")

    def attention(name: str) -> None:
        for part in "qkvo":
            matrix(f"{name}_W{part}", WIDTH, WIDTH)
            vector(f"{name}_b{part}")
        norm(f"{name}_Wo")

    def feed_forward(name: str) -> None:
        matrix(f"{name}_W1", WIDTH, INNER)
        vector(f"{name}_b1", INNER)
        matrix(f"{name}_W2", INNER, WIDTH)
        vector(f"{name}_b2")
        norm(f"{name}_ffn")

    if target_pieces is None:
        matrix("Wemb", pieces, WIDTH)
        items["none_QuantMultA"] = np.array([[1.0]], np.float32)
    else:
        matrix("encoder_Wemb", pieces, WIDTH)
        matrix("decoder_Wemb", target_pieces, WIDTH)
        items["decoder_Wemb_QuantMultA"] = np.array([[127]], np.int8)  # so it is in Mozilla's files
    vector("decoder_ff_logit_out_b", pieces if target_pieces is None else target_pieces)
    for i in range(1, ENCODER_LAYERS + 1):
        attention(f"encoder_l{i}_self")
        feed_forward(f"encoder_l{i}_ffn")
    for i in range(1, DECODER_LAYERS + 1):
        matrix(f"decoder_l{i}_rnn_W", WIDTH, WIDTH)
        matrix(f"decoder_l{i}_rnn_Wf", WIDTH, WIDTH)
        vector(f"decoder_l{i}_rnn_bf")
        norm(f"decoder_l{i}_rnn_ffn")
        attention(f"decoder_l{i}_context")
        feed_forward(f"decoder_l{i}_ffn")
    items["special:model.yml"] = SETTINGS if target_pieces is None else SETTINGS.replace("all: true", "all: false")
    return items


def multiplier(name: str) -> float:
    """What the weights of a matrix were multiplied with: another one for each."""
    return 600.0 + sum(name.encode()) % 97


def write_marian(file: Path, items: Mapping[str, Item], multipliers: Mapping[str, float] | None = None) -> Path:
    """Marian's binary form; an int8 array is a matrix of intgemm's. ``multipliers``: where they are not made up."""
    kinds, shapes, data = [], [], []
    for name, item in items.items():
        if isinstance(item, str):
            raw = item.encode() + b"\0"
            kinds.append(_CHARS)
            shapes.append((len(raw),))
        elif item.dtype == np.int8:
            laid = item if name.endswith("Wemb") else item.T
            raw = np.ascontiguousarray(laid).tobytes() + struct.pack(
                "<f", multiplier(name) if multipliers is None else multipliers[name]
            )
            raw += bytes(-len(raw) % 256)
            kinds.append(_INT8)
            shapes.append(item.shape)
        else:
            raw = item.tobytes() + bytes(-item.nbytes % 256)
            kinds.append(_FLOAT32)
            shapes.append(item.shape)
        data.append(raw)
    names = [name.encode() + b"\0" for name in items]
    out = struct.pack("<QQ", 1, len(items))
    for written, kind, shape, raw in zip(names, kinds, shapes, data, strict=True):
        out += struct.pack("<QQQQ", len(written), kind, len(shape), len(raw))
    out += b"".join(names) + b"".join(struct.pack(f"<{len(shape)}i", *shape) for shape in shapes)
    padding = -(len(out) + 8) % 256
    out += struct.pack("<Q", padding) + bytes(padding)
    file.write_bytes(out + b"".join(data))
    return file


def write_shortlist(file: Path, pieces: int, target_pieces: int, always: int = 40, seed: int = 0) -> Path:
    """A lexical shortlist: each piece of the source brings three of the target."""
    tokens = np.random.default_rng(seed).integers(0, target_pieces, 3 * pieces).astype("<u4")
    offsets = np.arange(pieces + 1, dtype="<u8") * 3
    head = HEADER.pack(MAGIC, 0, always, 50, len(offsets), len(tokens))
    file.write_bytes(head + offsets.tobytes() + tokens.tobytes())
    return file
