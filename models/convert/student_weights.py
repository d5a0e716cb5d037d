"""The facts of a Firefox student's network, and its tensors by the names of CTranslate2's specification.

The network has post-norm encoder layers, decoder layers with a recurrence (SSRU) in place of self-attention, and
sinusoidal positions. It has one table of embeddings for both languages and the output, or one for the source and one
for target and output. The decoder starts from a zero embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.convert.contract import CannotConvert
from models.convert.model_bin import Scalar, Variables
from models.convert.tensors.base import Floats, Joined, Tensor
from models.convert.tensors.marian import EMBEDDINGS, Int8Joined, Int8Matrix, Student

MOST_LAYERS = 64
SOURCE_EMBEDDINGS, TARGET_EMBEDDINGS = f"encoder_{EMBEDDINGS}", f"decoder_{EMBEDDINGS}"
"""The names if the model has two tables."""


@dataclass(frozen=True, slots=True)
class Zeros:
    """A vector of zeros, in place of a missing bias beside a matrix that has one. Satisfies `Tensor`."""

    shape: tuple[int, ...]

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return np.zeros((end - begin, *self.shape[1:]), np.float32)


@dataclass(frozen=True, slots=True)
class Sinusoids:
    """Marian's positions: sines in the first half of a row, cosines in the second. Satisfies `Tensor`."""

    shape: tuple[int, ...]
    """Positions, width."""

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        half = self.shape[1] // 2
        turns = np.exp(-np.log(10000.0) / (half - 1) * np.arange(half))
        angles = np.arange(begin, end)[:, None] * turns
        return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a student, from its settings and shapes."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    tables: tuple[str, str]
    """The matrices of embeddings, the source's and the target's; often the same."""


def sizes_of(student: Student) -> Sizes:
    """Read and check them.

    Raises:
        CannotConvert: the network is not of the students' kind.
    """
    lines = (line.partition(":") for line in student.settings.splitlines())
    settings = {name: value.strip() for name, colon, value in lines if colon and name == name.strip()}
    wanted = {
        "type": "transformer", "dec-cell": "ssru", "transformer-postprocess": "dan", "transformer-preprocess": '""',
        "transformer-ffn-activation": "relu", "transformer-ffn-depth": "2", "transformer-decoder-autoreg": "rnn",
        "transformer-train-position-embeddings": "false",
    }  # fmt: skip
    is_one = EMBEDDINGS in student.matrices
    if is_one:
        wanted["tied-embeddings-all"] = "true"
    for name, value in wanted.items():
        if settings.get(name, value) != value:
            raise CannotConvert(f"Its settings say {name}: {settings[name]}; only students with {value} are read.")
    tables = (EMBEDDINGS, EMBEDDINGS) if is_one else (SOURCE_EMBEDDINGS, TARGET_EMBEDDINGS)
    if not all(table in student.matrices for table in tables):
        raise CannotConvert(f"It has no embeddings in int8, {EMBEDDINGS} or {' and '.join(tables)}.")
    try:
        heads = int(settings.get("transformer-heads", "8"))
        layers = int(settings["enc-depth"]), int(settings["dec-depth"])
    except (KeyError, ValueError):
        raise CannotConvert("Its settings do not say how many layers and heads it has.") from None
    width = student.matrices[tables[0]].shape[1]
    if heads < 1 or width % heads or not all(0 < count <= MOST_LAYERS for count in layers):
        raise CannotConvert(f"Its settings say {heads} heads and {layers} layers for {width} numbers a token.")
    return Sizes(width, heads, *layers, tables)


def variables_of(student: Student, sizes: Sizes, position_count: int) -> Variables:
    """The model's variables by CTranslate2's names; each tensor of the file is used exactly once.

    Raises:
        CannotConvert: a tensor is missing, left over, or differs in shape from the sizes.
    """
    used: set[str] = set()

    def matrix(name: str, *shape: int) -> Int8Matrix:
        used.add(name)
        if name not in student.matrices:
            raise CannotConvert(f"It has no matrix '{name}'.")
        found = student.matrices[name]
        if found.shape != shape:
            raise CannotConvert(f"'{name}' is of the shape {found.shape} and not {shape}.")
        return found

    def vector(name: str, size: int = sizes.width) -> Tensor:
        used.add(name)
        if name not in student.vectors:
            raise CannotConvert(f"It has no vector '{name}'.")
        if student.vectors[name].shape != (size,):
            raise CannotConvert(f"'{name}' has {student.vectors[name].shape[0]} numbers and not {size}.")
        return student.vectors[name]

    made: dict[str, Tensor | Scalar] = {}

    def linear(
        place: str,
        weights: Sequence[str],
        biases: Sequence[str | None],
        outputs: int = sizes.width,
        inputs: int = sizes.width,
    ) -> None:
        matrices = tuple(matrix(name, outputs, inputs) for name in weights)
        made[f"{place}/weight"] = matrices[0] if len(matrices) == 1 else Int8Joined(matrices)
        parts = tuple(Zeros((outputs,)) if name is None else vector(name, outputs) for name in biases)
        made[f"{place}/bias"] = parts[0] if len(parts) == 1 else Joined(parts)

    def norm(place: str, name: str) -> None:
        made[f"{place}/gamma"], made[f"{place}/beta"] = vector(f"{name}_ln_scale"), vector(f"{name}_ln_bias")

    def attention(place: str, name: str) -> None:
        linear(f"{place}/linear_0", [f"{name}_W{part}" for part in "qkv"], [f"{name}_b{part}" for part in "qkv"])
        linear(f"{place}/linear_1", [f"{name}_Wo"], [f"{name}_bo"])
        norm(f"{place}/layer_norm", f"{name}_Wo")

    def feed_forward(place: str, name: str) -> None:
        first = student.matrices.get(f"{name}_W1")
        inner = first.shape[0] if first is not None else 0
        linear(f"{place}/linear_0", [f"{name}_W1"], [f"{name}_b1"], inner, sizes.width)
        linear(f"{place}/linear_1", [f"{name}_W2"], [f"{name}_b2"], sizes.width, inner)
        norm(f"{place}/layer_norm", f"{name}_ffn")

    source, target = (matrix(table, student.matrices[table].shape[0], sizes.width) for table in sizes.tables)
    positions = Sinusoids((position_count, sizes.width))
    for side, table, embeddings in (("encoder", "embeddings_0", source), ("decoder", "embeddings", target)):
        made[f"{side}/{table}/weight"] = embeddings
        made[f"{side}/position_encodings/encodings"] = positions
        made |= {
            f"{side}/num_heads": np.int16(sizes.heads), f"{side}/pre_norm": np.int8(0),
            f"{side}/activation": np.int8(0), f"{side}/scale_embeddings": np.int8(1),
        }  # fmt: skip
    made["decoder/projection/weight"] = target
    made["decoder/projection/bias"] = vector("decoder_ff_logit_out_b", target.shape[0])
    made["decoder/start_from_zero_embedding"] = np.int8(1)
    made["decoder/alignment_heads"] = np.int16(1)  # guided alignment trained the first head of the last layer
    for i in range(sizes.encoder_layers):
        name, place = f"encoder_l{i + 1}", f"encoder/layer_{i}"
        attention(f"{place}/self_attention", f"{name}_self")
        feed_forward(f"{place}/ffn", f"{name}_ffn")
    for i in range(sizes.decoder_layers):
        name, place = f"decoder_l{i + 1}", f"decoder/layer_{i}"
        linear(f"{place}/ssru/linear_0", [f"{name}_rnn_W", f"{name}_rnn_Wf"], [None, f"{name}_rnn_bf"])
        norm(f"{place}/ssru/layer_norm", f"{name}_rnn_ffn")
        linear(f"{place}/attention/linear_0", [f"{name}_context_Wq"], [f"{name}_context_bq"])
        linear(
            f"{place}/attention/linear_1",
            [f"{name}_context_Wk", f"{name}_context_Wv"],
            [f"{name}_context_bk", f"{name}_context_bv"],
        )
        linear(f"{place}/attention/linear_2", [f"{name}_context_Wo"], [f"{name}_context_bo"])
        norm(f"{place}/attention/layer_norm", f"{name}_context_Wo")
        feed_forward(f"{place}/ffn", f"{name}_ffn")
    if left := sorted({*student.matrices, *student.vectors} - used):
        raise CannotConvert(f"It has tensors that a student does not have: {', '.join(left[:3])}.")
    return made
