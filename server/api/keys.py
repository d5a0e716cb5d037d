"""API keys: the models that each may use, and its rates. Read from a file that can be read again.

Keys are known by their SHA-256 only: they are random and long (``hearth key`` makes them), so nothing slower is needed.
Knows nothing of HTTP requests.
"""

import hashlib
import hmac
import logging
import re
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from server.errors import ModelNotAllowed, RateLimited
from server.settings import SettingsError

Clock = Callable[[], float]
"""Seconds that never go back."""


class Bucket:
    """Holds up to ``per_minute`` and fills at that rate; full at first.

    A request can take more than it holds, since a completion's length is known only at its end. The bucket is then
    below zero and refuses requests until it has filled again. So over time no key uses more than its rate, however many
    requests run at once.
    """

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._filled_s = clock()

    def take(self, amount: float) -> None:
        """Take so much, even if it holds less."""
        self._fill()
        self._level -= amount

    @property
    def wait_s(self) -> float:
        """Seconds until it holds at least one unit; 0 if it does."""
        self._fill()
        return max(0.0, 1.0 - self._level) * 60.0 / self.per_minute

    @property
    def remaining(self) -> int:
        """Whole units that it holds; 0 while it is below zero."""
        self._fill()
        return max(0, int(self._level))

    @property
    def full_s(self) -> float:
        """Until it is full again."""
        self._fill()
        return (self.per_minute - self._level) * 60.0 / self.per_minute

    def _fill(self) -> None:
        now_s = self._clock()
        grown = (now_s - self._filled_s) * self.per_minute / 60.0
        self._level = min(float(self.per_minute), self._level + grown)
        self._filled_s = now_s


log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
UNITS = {"requests": "rate_rpm", "tokens": "tokens_per_minute"}
"""The units that a key can have a rate of, as headers name them, and the fields that set them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key as the operator wrote it down. Rates are per minute, 0 means no limit; no models means all."""

    name: str
    sha256: str
    rate_rpm: int = 0
    tokens_per_minute: int = 0
    models: tuple[str, ...] = ()


class KeyUser:
    """The owner of a key: the models that it may use, and how much it has used. Used only on the event loop."""

    def __init__(self, key: Key, clock: Clock) -> None:
        self.key = key
        self.buckets = {
            unit: Bucket(limit, clock) for unit, field in UNITS.items() if (limit := getattr(key, field)) > 0
        }

    def admit(self) -> None:
        """Begin one request.

        Raises:
            RateLimited: the rate of requests or tokens is used up; nothing is taken then.
        """
        for unit, bucket in self.buckets.items():
            if (wait_s := bucket.wait_s) > 0:
                raise RateLimited(bucket.per_minute, unit, wait_s)
        if "requests" in self.buckets:
            self.buckets["requests"].take(1)

    def charge(self, tokens: int) -> None:
        """Charge an ended request that read and made so many tokens."""
        if "tokens" in self.buckets:
            self.buckets["tokens"].take(tokens)

    def allows(self, model: str) -> bool:
        """Whether the key may use the model of this id."""
        return not self.key.models or model in self.key.models

    def require(self, model: str) -> None:
        """Refuse a model that is not for this key.

        Raises:
            ModelNotAllowed: names the model, and the models that the key may use.
        """
        if not self.allows(model):
            raise ModelNotAllowed(model, self.key.models)


class Keyring:
    """All keys there are."""

    def __init__(self, hashes: Sequence[str] = (), file: str = "", clock: Clock = time.monotonic) -> None:
        """Read them.

        Args:
            hashes: SHA-256 of keys without limits, in hexadecimal.
            file: TOML with a table ``[[keys]]`` for each key; none when empty.
            clock: for the rates.

        Raises:
            SettingsError: the file cannot be read, or has a wrong value.
        """
        self._hashes = tuple(hashes)
        self._file = file
        self._clock = clock
        self._holders: list[KeyUser] = []
        self.reload()

    def reload(self) -> None:
        """Read the file again. An unchanged key keeps the state of its rates.

        Raises:
            SettingsError: as at the start; the old keys then stay.
        """
        keys = [Key(name="", sha256=each) for each in self._hashes]
        keys += read_keys(Path(self._file)) if self._file else []
        before = {key_user.key: key_user for key_user in self._holders}
        self._holders = [before.get(key) or KeyUser(key, self._clock) for key in keys]
        log.info("there are %d API keys", len(keys))

    def owner(self, sha256: str) -> KeyUser | None:
        """The owner of the key with this hash, None if there is no such key any longer."""
        return next((key_user for key_user in self._holders if key_user.key.sha256 == sha256), None)

    def find(self, secret: str) -> KeyUser | None:
        """The owner of this key, None if it is unknown. Every hash is compared, so the time taken tells nothing."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        matches = [hmac.compare_digest(digest, key_user.key.sha256) for key_user in self._holders]
        return next((key_user for key_user, matched in zip(self._holders, matches, strict=True) if matched), None)


def read_keys(file: Path) -> list[Key]:
    """The keys of a file.

    Raises:
        SettingsError: names the file, and the key and the field that are wrong.
    """
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"api_keys_file {file} cannot be read: {error}") from error
    entries = table.pop("keys", None)
    if table or not isinstance(entries, list) or not entries:
        raise SettingsError(f"api_keys_file {file} must have at least one table [[keys]], and nothing else.")
    keys: list[Key] = []
    for place, entry in enumerate(entries, 1):
        if problem := _problem(entry, keys):
            raise SettingsError(f"api_keys_file {file}, key {place}: {problem}.")
        values: dict[str, Any] = {**entry, "models": tuple(entry.get("models", ()))}
        keys.append(Key(**values))
    return keys


def _problem(entry: Any, before: Sequence[Key]) -> str:
    """The fault of one table; empty if there is none."""
    known = {field.name for field in fields(Key)}
    if not isinstance(entry, dict):
        return "it is no table"
    if unknown := sorted(entry.keys() - known):
        return f"there is no field '{unknown[0]}'"
    name, digest = entry.get("name"), entry.get("sha256")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return "'name' must be letters, digits, '.', '_' and '-', 64 at most"
    if not isinstance(digest, str) or not SHA256.fullmatch(digest):
        return "'sha256' must be a SHA-256 in lower case hexadecimal ('hearth key' prints one)"
    if any(name == key.name or digest == key.sha256 for key in before):
        return f"'{name}' is there twice, by its name or its hash"
    for field in UNITS.values():
        value = entry.get(field, 1)
        if type(value) is not int or value < 1:
            return f"'{field}' must be a whole number of at least 1; leave it out for no limit"
    models = entry.get("models", ["any"])
    if not isinstance(models, list) or not models or not all(isinstance(model, str) and model for model in models):
        return "'models' must be a list of ids; leave it out for all models"
    return ""
