"""Renames a dialogue's tools and arguments, so that the model must read the names from the list of tools.

The schema-guided dialogues name few arguments, and a small model writes `city` out of habit, even if the listed tool
has `location`. A name becomes a synonym, is spelled another way, or gets a word before or after it, often one that no
service has, so that the model can't guess it. A new name is the same everywhere in the dialogue, also in results.
Original text; the words come from the caller.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from models.families.hearth_assistant import Call, Message, Tool

_RENAMED_SHARE = 0.8  # of the names of a dialogue
_STRANGE_SHARE = 0.35  # of the arguments: a word that no service has
_CAMEL_SHARE = 0.15  # of the arguments
_STRANGE_TOOL_SHARE = 0.25  # of the tools: likewise
_SNAKE_SHARE = 0.25  # of the tools
# Words of names, and their synonyms.
_SYNONYMS: Mapping[str, Sequence[str]] = {
    "city": ("town", "location", "place", "city_name", "area", "where", "municipality"),
    "location": ("place", "city", "area", "address", "town", "region"),
    "area": ("city", "district", "town", "neighborhood", "location"),
    "destination": ("to", "going_to", "arrival", "target", "to_city", "end_point", "destination_city"),
    "origin": ("from", "leaving_from", "start", "from_city", "starting_point", "origin_city"),
    "from": ("origin", "start", "leaving"),
    "to": ("destination", "end", "arrival"),
    "where": ("location", "destination", "place"),
    "date": ("day", "date", "on", "calendar_date"),
    "departure": ("leaving", "outbound", "start", "departing"),
    "leaving": ("departure", "travel", "outbound"),
    "return": ("inbound", "back", "coming_back", "returning"),
    "check": ("arrive", "check"),
    "visit": ("viewing", "tour", "appointment"),
    "time": ("hour", "start_time", "time", "clock"),
    "start": ("begin", "first", "from"),
    "end": ("finish", "last", "until"),
    "pickup": ("collection", "start", "pick_up"),
    "dropoff": ("return", "end", "drop_off"),
    "appointment": ("booking", "slot", "visit", "meeting"),
    "number": ("count", "num", "total"),
    "passengers": ("travelers", "people", "tickets", "seats", "number_of_people"),
    "travelers": ("passengers", "people", "tickets"),
    "adults": ("people", "guests", "persons"),
    "seats": ("people", "guests", "places", "diners"),
    "party": ("group", "company"),
    "size": ("count", "number_of_people", "headcount"),
    "group": ("party", "people"),
    "riders": ("passengers", "people", "seats"),
    "tickets": ("seats", "entries", "admissions"),
    "rooms": ("bedrooms", "units"),
    "days": ("nights", "stay", "duration_days"),
    "stay": ("visit", "trip"),
    "length": ("duration", "days", "nights"),
    "amount": ("sum", "money", "value", "total"),
    "transfer": ("payment", "money"),
    "recipient": ("receiver", "payee", "to", "beneficiary"),
    "account": ("bank_account", "acct"),
    "type": ("kind", "category", "sort", "class"),
    "category": ("kind", "type", "group", "sort"),
    "cuisine": ("food", "food_type", "kind_of_food", "category", "kitchen"),
    "genre": ("style", "category", "kind"),
    "class": ("cabin", "level", "tier"),
    "seating": ("cabin", "seat", "travel"),
    "fare": ("ticket", "price", "tariff"),
    "airlines": ("airline", "carrier", "airline_name"),
    "restaurant": ("place", "diner", "venue"),
    "hotel": ("place", "lodging", "accommodation", "property"),
    "place": ("venue", "location", "spot"),
    "property": ("home", "apartment", "house"),
    "event": ("show", "occasion", "activity"),
    "show": ("event", "screening", "performance"),
    "movie": ("film", "title", "picture"),
    "song": ("track", "title", "tune"),
    "title": ("name", "movie_title", "film"),
    "artist": ("singer", "musician", "band", "performer"),
    "album": ("record", "disc"),
    "directed": ("made", "directed"),
    "director": ("directed_by", "film_maker"),
    "actors": ("starring", "cast", "actor"),
    "starring": ("actors", "cast"),
    "playback": ("output", "play"),
    "device": ("speaker", "player", "target"),
    "subtitles": ("subtitle_language", "captions"),
    "stylist": ("hairdresser", "salon", "barber", "provider"),
    "dentist": ("provider", "practice", "clinic", "doctor"),
    "doctor": ("physician", "provider", "clinic", "specialist"),
    "therapist": ("counselor", "provider", "specialist"),
    "theater": ("cinema", "movie_theater", "venue"),
    "car": ("vehicle", "auto"),
    "ride": ("trip", "cab", "taxi"),
    "shared": ("pooled", "shared"),
    "price": ("cost", "budget", "price"),
    "range": ("level", "class", "range"),
    "rating": ("stars", "score", "grade"),
    "star": ("hotel", "quality"),
    "refundable": ("can_be_refunded", "is_refundable", "refund"),
    "street": ("address", "road"),
    "name": ("name", "title", "called"),
    "has": ("with", "offers", "has"),
    "pets": ("animals", "dogs"),
    "allowed": ("welcome", "ok", "permitted"),
    "new": ("next", "added"),
    "year": ("release_year", "made_in"),
}
_BEFORE = ("requested", "preferred", "desired", "chosen", "user", "my", "wanted")
_AFTER = ("value", "wanted", "choice", "requested", "preference", "info", "given")
_VERBS: Mapping[str, Sequence[str]] = {
    "Find": ("Search", "Lookup", "List", "Get", "Browse"),
    "Search": ("Find", "Lookup", "List", "Browse"),
    "Lookup": ("Find", "Search", "Get"),
    "Get": ("Show", "Lookup", "Fetch", "Find", "List"),
    "Check": ("Get", "Show", "Query", "Lookup"),
    "Book": ("Reserve", "Schedule", "Make", "Arrange"),
    "Reserve": ("Book", "Hold", "Arrange"),
    "Schedule": ("Book", "Plan", "Arrange"),
    "Buy": ("Purchase", "Order", "Get"),
    "Play": ("Start", "Stream", "Watch"),
    "Rent": ("Borrow", "Hire", "Stream"),
    "Add": ("Create", "Set", "Make"),
    "Transfer": ("Send", "Move", "Wire"),
}
_NOUNS: Mapping[str, Sequence[str]] = {
    "Movie": ("Film", "Picture", "Title"),
    "Movies": ("Films", "Titles", "Screenings"),
    "Restaurant": ("Table", "Diner", "Dinner"),
    "Restaurants": ("Diners", "Places", "Tables"),
    "Hotel": ("Lodging", "Room", "Accommodation", "Stay"),
    "House": ("Home", "Villa", "Lodging"),
    "Apartment": ("Flat", "Home", "Rental"),
    "Ride": ("Cab", "Taxi", "Trip"),
    "Car": ("Vehicle", "Auto"),
    "Cars": ("Vehicles", "Rentals"),
    "Song": ("Track", "Music", "Tune"),
    "Music": ("Songs", "Tracks"),
    "Media": ("Video", "Film"),
    "Bus": ("Coach", "Shuttle"),
    "Flight": ("Plane", "Trip"),
    "Flights": ("Planes", "Trips"),
    "Appointment": ("Visit", "Slot", "Booking"),
    "Provider": ("Specialist", "Practice", "Professional"),
    "Event": ("Show", "Entry", "Occasion"),
    "Events": ("Shows", "Happenings", "Entries"),
    "Attractions": ("Sights", "Places"),
    "Money": ("Funds", "Payment"),
    "Balance": ("Account", "Funds"),
    "Weather": ("Forecast", "Conditions"),
    "Ticket": ("Seat", "Admission"),
    "Tickets": ("Seats", "Admissions"),
}
_WORD_OF_TOOL = re.compile(r"[A-Z][a-z]+|[a-z]+|\d+")


def renamed(
    messages: Sequence[Message], tools: Sequence[Tool], words: Sequence[str], rng: random.Random
) -> tuple[list[Message], list[Tool]]:
    """The dialogue and its tools with most names changed; `words` are what strange ones are made of."""
    keys = [key for tool in tools for key in (*tool.required, *tool.optional)]
    arguments = _others(keys, lambda key: _other_argument(key, words, rng), rng)
    names = _others([tool.name for tool in tools], lambda name: _other_tool(name, words, rng), rng)
    told = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, arguments))})(?=: )") if arguments else None

    def call(one: Call) -> Call:
        values = {arguments.get(key, key): value for key, value in one.arguments.items()}
        return Call(names.get(one.name, one.name), values)

    def content(message: Message) -> str:
        if message.role != "tool" or told is None:
            return message.content
        return told.sub(lambda found: arguments[found[0]], message.content)

    def others(of: Sequence[str]) -> tuple[str, ...]:
        return tuple(arguments.get(key, key) for key in of)

    return (
        [Message(m.role, content(m), tuple(map(call, m.calls))) for m in messages],
        [
            Tool(
                names.get(t.name, t.name),
                others(t.required),
                others(t.optional),
                dict(zip(others(tuple(t.types)), t.types.values(), strict=True)),
            )
            for t in tools
        ],
    )


def _others(names: Iterable[str], other: Callable[[str], str], rng: random.Random) -> dict[str, str]:
    """Another for most of the names, none of them like one of the rest."""
    found: dict[str, str] = {}
    taken = set(names := tuple(dict.fromkeys(names)))
    for name in names:
        if rng.random() < _RENAMED_SHARE and (new := other(name)) not in taken:
            found[name] = new
            taken.add(new)
    return found


def _other_argument(name: str, strange: Sequence[str], rng: random.Random) -> str:
    words = name.split("_")
    known = [place for place, word in enumerate(words) if word in _SYNONYMS]
    if rng.random() < _STRANGE_SHARE:
        words.insert(rng.choice((0, len(words))), rng.choice(strange).lower())
        if len(words) > 2 and rng.random() < 0.5:
            del words[rng.choice((0, -1))]
    elif known and rng.random() < 0.8:
        for place in known if rng.random() < 0.4 else [rng.choice(known)]:
            words[place] = rng.choice(_SYNONYMS[words[place]])
    elif rng.random() < 0.5:
        words.insert(0, rng.choice(_BEFORE))
    else:
        words.append(rng.choice(_AFTER))
    new = "_".join(dict.fromkeys("_".join(words).split("_")))
    if rng.random() >= _CAMEL_SHARE:
        return new
    first, *rest = new.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _other_tool(name: str, strange: Sequence[str], rng: random.Random) -> str:
    words = _WORD_OF_TOOL.findall(name)
    if words and words[0] in _VERBS and rng.random() < 0.7:
        words[0] = rng.choice(_VERBS[words[0]])
    words = [rng.choice(_NOUNS[word]) if word in _NOUNS and rng.random() < 0.4 else word for word in words]
    if rng.random() < _STRANGE_TOOL_SHARE:
        words.insert(rng.randint(1, len(words)), rng.choice(strange).capitalize())
    if rng.random() < _SNAKE_SHARE:
        return "_".join(words).lower()
    return "".join(words) if name[:1].isupper() else "_".join(words)
