"""The interface of a page, and access to weights by name: each weight once, in the shape that follows from the
facts.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.convert.contract import CannotConvert
from models.convert.network import Decoder
from models.convert.stated import Stated
from models.convert.tensors.base import Tensor, Tensors, scaled

Variable = tuple[str, Tensor]

COMPUTED = (
    *("rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias"),
    *("position_ids", "embeddings.token_type_ids"),
)
"""Suffixes of the names of tensors that some files hold although they are computed."""


@dataclass(frozen=True, slots=True)
class Page:
    """A family."""

    facts: Callable[[Stated], Decoder]
    weights: Callable[[Decoder, "Weights"], Iterator[Variable]]
    """The variables of CTranslate2's specification that are tensors, without ``decoder/``."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The defaults of the family's configuration class."""
    section: str | None = None
    """The configuration's key for the text model, if the text model is only a part."""
    ignored: tuple[str, ...] = ()
    """Prefixes of the names of weights outside the text model."""

    def decoder(self, config: Mapping[str, Any]) -> Decoder:
        """The facts of a repository's configuration.

        Raises:
            CannotConvert: no engine here computes this configuration.
        """
        table = config.get(self.section) if self.section else config
        if not isinstance(table, Mapping):
            raise CannotConvert(f"config.json has no {self.section}.")
        return self.facts(Stated(table, self.defaults))


class Weights:
    """A repository's tensors, with a record of those taken."""

    def __init__(self, tensors: Tensors, factors: Mapping[str, float]) -> None:
        self._tensors = tensors
        self._factors = factors
        self._left = set(tensors)
        self.parameters = 0
        """The number of values taken."""

    def has(self, name: str) -> bool:
        """Tells whether the repository has such a tensor."""
        return name in self._tensors

    def take(self, name: str, *shape: int, again: bool = False) -> Tensor:
        """A tensor, times its factor.

        Args:
            name: the tensor's name.
            shape: the required shape.
            again: true if the tensor was counted under another name.

        Raises:
            CannotConvert: the tensor is missing, was taken before, or has another shape.
        """
        tensor = self._tensors.get(name)
        if tensor is None:
            raise CannotConvert(f"The repository lacks weights: {name}.")
        if name not in self._left:
            raise CannotConvert(f"The weights {name} would be used twice.")
        if tensor.shape != shape:
            raise CannotConvert(f"The weights {name} have the shape {tensor.shape}; config.json says {shape}.")
        self._left.discard(name)
        self.parameters += 0 if again else math.prod(shape)
        factor = next((factor for end, factor in self._factors.items() if name.endswith(end)), 1.0)
        return scaled(tensor, factor)

    def require_all_taken(self, ignored: tuple[str, ...]) -> None:
        """Refuse unused weights, since the model would lack their function.

        Raises:
            CannotConvert: some weights are unused.
        """
        left = [name for name in self._left if not name.startswith(ignored) and not name.endswith(COMPUTED)]
        if left:
            raise CannotConvert(
                f"The repository has {len(left)} weights that a model of its kind has not: "
                f"{', '.join(sorted(left)[:3])}."
            )


def layer_norm(take: Weights, name: str, target: str, size: int) -> Iterator[Variable]:
    """A norm with an offset."""
    yield f"{target}/gamma", take.take(f"{name}.weight", size)
    yield f"{target}/beta", take.take(f"{name}.bias", size)


def linear(
    take: Weights, name: str, target: str, outputs: int, inputs: int, *, biased: bool = True
) -> Iterator[Variable]:
    """A matrix, and its bias if it has one."""
    yield f"{target}/weight", take.take(f"{name}.weight", outputs, inputs)
    if biased:
        yield f"{target}/bias", take.take(f"{name}.bias", outputs)
