"""A student in float32 and plain numpy, by the formulas of its architecture: what the engine is held against."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
TYPES = ("<f4", "i1", "<i2", "<i4")


@dataclass(frozen=True)
class Scored:
    mean_logprob: float
    behind: Sequence[float]
    """How far each token of the path was behind the likeliest one, in nats."""
    attention: Sequence[Floats]
    """Of each step, the first head of the last layer over the source."""


class Student:
    def __init__(self, variables: Mapping[str, Floats], heads: int) -> None:
        self._v = variables
        self._heads = heads
        self._width = variables["decoder/projection/weight"].shape[1]

    @classmethod
    def read(cls, file: Path, heads: int) -> "Student":
        """The variables of a model.bin, int8 matrices as the floats they stand for."""
        data = file.read_bytes()
        at = 4

        def text() -> str:
            nonlocal at
            (length,) = struct.unpack_from("<H", data, at)
            at += 2 + length
            return data[at - length : at - 1].decode()

        text()
        (_, count) = struct.unpack_from("<II", data, at)
        at += 8
        found: dict[str, npt.NDArray[np.generic]] = {}
        for _ in range(count):
            name, rank = text(), data[at]
            shape = struct.unpack_from(f"<{rank}I", data, at + 1)
            kind, length = struct.unpack_from("<BI", data, at + 1 + 4 * rank)
            at += 6 + 4 * rank
            found[name] = np.frombuffer(data, TYPES[kind], length // np.dtype(TYPES[kind]).itemsize, at).reshape(shape)
            at += length
        (aliases,) = struct.unpack_from("<I", data, at)
        at += 4
        for _ in range(aliases):
            alias, name = text(), text()
            found[alias] = found[name]
            if f"{name}_scale" in found:
                found[f"{alias}_scale"] = found[f"{name}_scale"]
        whole = {
            name: value.astype(np.float32) / found[f"{name}_scale"][:, None] if f"{name}_scale" in found else value
            for name, value in found.items()
        }
        return cls(whole, heads)

    def score(self, source: Sequence[int], path: Sequence[int], shortlist: Sequence[int] = ()) -> Scored:
        """The log-probabilities of a translation, token by token."""
        memory = self._encode(source)
        cells: dict[str, Floats] = {}
        logprobs, behind, attention = [], [], []
        allowed = np.full(len(self._v["decoder/projection/weight"]), -np.inf, np.float32)
        allowed[list(shortlist) if shortlist else slice(None)] = 0
        allowed[1] = -np.inf
        x = np.zeros((1, self._width), np.float32)
        for t, token in enumerate(path):
            x = x + self._v["decoder/position_encodings/encodings"][t]
            for i in range(self._layers("decoder")):
                place = f"decoder/layer_{i}/"
                fresh, gate = np.split(self._linear(f"{place}ssru/linear_0", x), 2, axis=1)
                keep = 1 / (1 + np.exp(-gate))
                cells[place] = keep * cells.get(place, np.zeros_like(x)) + (1 - keep) * fresh
                x = self._norm(f"{place}ssru/layer_norm", x + np.maximum(cells[place], 0))
                keys, values = np.split(self._linear(f"{place}attention/linear_1", memory), 2, axis=1)
                context, weights = self._attend(self._linear(f"{place}attention/linear_0", x), keys, values)
                x = self._norm(f"{place}attention/layer_norm", x + self._linear(f"{place}attention/linear_2", context))
                x = self._feed_forward(place, x)
            logits = self._linear("decoder/projection", x)[0] + allowed
            logits -= logits.max()
            logprobs.append(float(logits[token] - np.log(np.exp(logits).sum())))
            behind.append(float(-logits[token]))
            attention.append(weights[0, 0])
            x = self._v["decoder/projection/weight"][[token]] * np.sqrt(np.float32(self._width))
        return Scored(float(np.mean(logprobs)), behind, attention)

    def _encode(self, source: Sequence[int]) -> Floats:
        x = self._v["encoder/embeddings_0/weight"][list(source)] * np.sqrt(np.float32(self._width))
        x = x + self._v["encoder/position_encodings/encodings"][: len(source)]
        for i in range(self._layers("encoder")):
            place = f"encoder/layer_{i}/"
            query, key, value = np.split(self._linear(f"{place}self_attention/linear_0", x), 3, axis=1)
            context, _ = self._attend(query, key, value)
            x = self._norm(
                f"{place}self_attention/layer_norm", x + self._linear(f"{place}self_attention/linear_1", context)
            )
            x = self._feed_forward(place, x)
        return x

    def _layers(self, side: str) -> int:
        return len({name.split("/")[1] for name in self._v if name.startswith(f"{side}/layer_")})

    def _linear(self, place: str, x: Floats) -> Floats:
        made: Floats = x @ self._v[f"{place}/weight"].T + self._v[f"{place}/bias"]
        return made

    def _norm(self, place: str, x: Floats) -> Floats:
        x = x - x.mean(1, keepdims=True)
        made: Floats = x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-6) * self._v[f"{place}/gamma"]
        return made + self._v[f"{place}/beta"]

    def _feed_forward(self, place: str, x: Floats) -> Floats:
        inner = np.maximum(self._linear(f"{place}ffn/linear_0", x), 0)
        return self._norm(f"{place}ffn/layer_norm", x + self._linear(f"{place}ffn/linear_1", inner))

    def _attend(self, query: Floats, key: Floats, value: Floats) -> tuple[Floats, Floats]:
        q, k, v = (each.reshape(len(each), self._heads, -1).transpose(1, 0, 2) for each in (query, key, value))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(np.float32(q.shape[2]))
        weights = np.exp(scores - scores.max(2, keepdims=True))
        weights /= weights.sum(2, keepdims=True)
        return (weights @ v).transpose(1, 0, 2).reshape(len(query), -1), weights
