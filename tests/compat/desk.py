"""A desk that books appointments, for tests of agents: requests and a tool that suit ``assistant``."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, Field

Kind = Literal["dentist", "doctor", "hairdresser"]

ASK = "I need a dentist in San Jose."
TABLE = "I need a table for two in San Jose."
FOOD = "Italian food, please."


class Booking(BaseModel):
    """The fields of a reservation."""

    city: str = Field(max_length=20)
    guests: int = Field(ge=1, le=12)
    seating: Literal["indoors", "outdoors"] | None


@dataclass
class Desk:
    """A tool, and the arguments of its calls so far."""

    called: list[tuple[str, str]] = field(default_factory=list)

    @property
    def tool(self) -> Callable[[str, Kind], str]:
        """A plain function. Frameworks read its name, its types and its docstring."""

        def find_provider(city: str, kind: Kind) -> str:
            """Find a provider of a service."""
            self.called.append((city, kind))
            return '[{"name": "Dr. Bella Rossi", "city": "San Jose"}]'

        return find_provider

    def assert_called(self) -> None:
        """The model called the tool once, with the arguments that `ASK` names."""
        assert self.called == [("San Jose", "dentist")]

    def assert_served(self, text: str) -> None:
        """The model called the tool once, and the answer names the provider that the tool returned."""
        self.assert_called()
        assert "Rossi" in text
