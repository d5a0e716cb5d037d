"""A desk that books appointments, for tests of agents: what ``assistant`` can do with the desk's one tool."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, Field

Kind = Literal["dentist", "doctor", "hairdresser"]

ASK = "I need a dentist in San Jose."
TABLE = "I need a table for two in San Jose."
FOOD = "Italian food, please."


class Booking(BaseModel):
    """What a reservation needs."""

    city: str = Field(max_length=20)
    guests: int = Field(ge=1, le=12)
    seating: Literal["indoors", "outdoors"] | None


@dataclass
class Desk:
    """Its tool, and what the tool was called with."""

    called: list[tuple[str, str]] = field(default_factory=list)

    @property
    def tool(self) -> Callable[[str, Kind], str]:
        """The tool: a plain function, of which a framework reads the name, the types and the description."""

        def find_provider(city: str, kind: Kind) -> str:
            """Find a provider of a service."""
            self.called.append((city, kind))
            return '[{"name": "Dr. Bella Rossi", "city": "San Jose"}]'

        return find_provider

    def assert_called(self) -> None:
        """The tool was called once, with what `ASK` asks for."""
        assert self.called == [("San Jose", "dentist")]

    def assert_served(self, text: str) -> None:
        """The tool was called once, and the answer speaks of what it found."""
        self.assert_called()
        assert "Rossi" in text
