"""Reads ``config.json`` of a hub's repository, with the defaults of its family's class for missing values."""

from collections.abc import Mapping
from typing import Any

from models.convert.contract import CannotConvert
from models.convert.network import ACTIVATIONS

MOST = 1 << 30
MOST_LAYERS = 1024


class Stated:
    """A configuration and its family's defaults. A null value counts as not stated."""

    def __init__(self, table: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._table = {**defaults, **{key: value for key, value in table.items() if value is not None}}
        self._null = {key for key, value in table.items() if value is None}

    @property
    def table(self) -> Mapping[str, Any]:
        """All stated values, and the defaults."""
        return self._table

    def has(self, name: str) -> bool:
        """Tells whether the value is stated or has a default."""
        return self._table.get(name) is not None

    def is_null(self, name: str) -> bool:
        """Tells whether the configuration states null."""
        return name in self._null

    def get(self, name: str) -> Any:
        """The value of any type; None if it is missing."""
        return self._table.get(name)

    def integer(self, name: str, otherwise: int | None = None, most: int = MOST) -> int:
        """A whole number above 0, and not above ``most``.

        Raises:
            CannotConvert: it is none, or is not stated.
        """
        value = self._table.get(name, otherwise)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
            raise CannotConvert(f"config.json: {name} is {short(value)}, and must be a whole number from 1 to {most}.")
        return value

    def window(self, name: str = "sliding_window") -> int:
        """The number of tokens that a layer sees; 0 (all tokens) if the value is missing, null or 0.

        Raises:
            CannotConvert: the value is not a number of tokens.
        """
        return self.integer(name) if self.get(name) and not self.is_null(name) else 0

    def number(self, name: str, otherwise: float | None = None) -> float:
        """A number above 0.

        Raises:
            CannotConvert: it is none, or is not stated.
        """
        value = self._table.get(name, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise CannotConvert(f"config.json: {name} is {short(value)}, and must be a number above 0.")
        return float(value)

    def flag(self, name: str) -> bool:
        """A true or false value; false if it is missing."""
        return bool(self._table.get(name))

    def require(self, **wanted: Any) -> None:
        """Refuse a configuration with a value other than the only supported one.

        Raises:
            CannotConvert: the value differs.
        """
        for name, value in wanted.items():
            found = self._table.get(name, value)
            if found != value:
                raise CannotConvert(f"config.json has {name} = {short(found)}, which no engine here computes.")

    def layers(self, name: str = "num_hidden_layers") -> int:
        """The number of layers.

        Raises:
            CannotConvert: the number is out of range.
        """
        return self.integer(name, most=MOST_LAYERS)

    def activation(self, name: str) -> str:
        """The activation of the inner layer.

        Raises:
            CannotConvert: the activation is unknown.
        """
        value = self._table.get(name)
        if not isinstance(value, str) or value not in ACTIVATIONS:
            raise CannotConvert(f"config.json: {name} is {short(value)}; known here: {', '.join(ACTIVATIONS)}.")
        return value

    def layer_types(self, otherwise: list[str]) -> list[str]:
        """The attention of each layer: ``full_attention`` or ``sliding_attention``.

        Raises:
            CannotConvert: a layer is of another kind.
        """
        types = self._table.get("layer_types") or otherwise
        if not isinstance(types, list) or len(types) != self.layers():
            raise CannotConvert("config.json: layer_types does not name a kind for each layer.")
        for kind in types:
            if kind not in ("full_attention", "sliding_attention"):
                raise CannotConvert(f"config.json has layers of the type {short(kind)}, which is not computed here.")
        return types


def short(value: Any) -> str:
    """A value in the form for a message."""
    return repr(value)[:60]
