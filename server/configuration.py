"""Reads settings: the only module that reads the environment and the configuration file.

A flag wins over the environment, the environment over the file. Every value is checked, also one that another wins
over. An unknown name in the file or among the flags is an error. In the environment it is a warning, since other
programs write there too: Kubernetes for one.
"""

import difflib
import logging
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server.settings import Settings, SettingsError, allowed

log = logging.getLogger(__name__)

ENVIRONMENT_PREFIX = "HEARTH_"

_SERVICE_LINK = re.compile(r"HEARTH(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
"""Variables that Kubernetes sets for a Service named hearth or hearth-…, in the form of Docker's old links."""
_SECRET = ("api_keys",)
"""Settings whose values are never shown: somebody may have written a key itself in the place of its hash."""
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class _Layer:
    """Settings from one place."""

    values: Mapping[str, Any]
    called: Callable[[str], str]
    """The name of a setting and its place, so that a person finds it."""
    spelled: Callable[[str], str]
    """The name of a setting as this place writes it."""

    def problems(self) -> Iterator[str]:
        """All faults of these values, a sentence or two each."""
        try:
            Settings(**self.values)
        except SettingsError:
            return  # whether settings go together is checked over all layers at once
        except ValidationError as error:
            kinds = {str(each["loc"][0]): each["type"] for each in error.errors(include_url=False)}
            for name, kind in kinds.items():
                if kind == "extra_forbidden":
                    yield f"{self.called(name)} is not a setting.{suggestion(name, self.spelled)}"
                else:
                    yield f"{self.called(name)} is {_shown_value(name, self.values[name])}; it must be {allowed(name)}."


def load_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
    warn: Callable[[str], object] = log.warning,
) -> Settings:
    """Settings from flags, environment and TOML file.

    Args:
        flags: values as text or already of their type; None means not given.
        environment: ``os.environ`` when not given.
        file: the TOML file; else the one named by ``HEARTH_CONFIG``, if any.
        warn: gets a sentence about names in the environment that begin as ours do and are not settings.

    Raises:
        SettingsError: an unknown name in the file or the flags, or values that their settings cannot have: all of
            them, a line each.
    """
    environment = os.environ if environment is None else environment
    if file is None and (named := environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")):
        file = Path(named)
    layers = [] if file is None else [_file(file)]
    layers += [_opentelemetrys(environment), _environment(environment, warn), _flags(flags or {})]
    if problems := [problem for layer in layers for problem in layer.problems()]:
        raise SettingsError("\n".join(problems))
    values: dict[str, Any] = {}
    for layer in layers:
        values |= layer.values
    return Settings(**values)


def _file(file: Path) -> _Layer:
    try:
        text = file.read_text("utf-8")
        values = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error

    def called(name: str) -> str:
        number = next((number for number, line in enumerate(text.splitlines(), 1) if _key(line) == name), 0)
        return f"{file}, line {number}: {name}" if number else f"{file}: {name}"

    return _Layer(values, called, str)


def _key(line: str) -> str:
    """The setting that a line of TOML begins with, as a key or as a table's name; empty if there is none."""
    return line.partition("=")[0].strip().removeprefix("[").partition("]")[0].partition(".")[0].strip().strip("\"'")


def _opentelemetrys(environment: Mapping[str, str]) -> _Layer:
    """The URL for spans from OpenTelemetry's own variables. Its library reads the other ones itself."""
    values = {}
    if environment.get("OTEL_SDK_DISABLED", "").lower() != "true":
        if endpoint := environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            values = {"otlp_endpoint": endpoint}
        elif endpoint := environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
            values = {"otlp_endpoint": endpoint.rstrip("/") + "/v1/traces"}
    return _Layer(values, str, str)


def _environment(environment: Mapping[str, str], warn: Callable[[str], object]) -> _Layer:
    """The settings in the environment. Names that only look like settings are left out with a warning."""

    def variable(name: str) -> str:
        return f"{ENVIRONMENT_PREFIX}{name.upper()}"

    ours = {variable(name): name for name in Settings.model_fields}
    values, linked = {}, []
    for name, value in sorted(environment.items()):
        is_address = name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value) is not None
        if not name.startswith(ENVIRONMENT_PREFIX) or name == variable("config"):
            continue
        if is_address or _SERVICE_LINK.fullmatch(name):
            linked.append(name)
        elif name in ours:
            values[ours[name]] = value
        else:
            hint = suggestion(name.removeprefix(ENVIRONMENT_PREFIX).lower(), variable)
            warn(f"{name} in the environment is not a setting; it is ignored.{hint}")
    if linked:
        warn(
            f"Kubernetes has set {', '.join(linked)} for a Service of this name. They are not settings and are "
            "ignored. `enableServiceLinks: false` in the pod's spec keeps them away."
        )
    return _Layer(values, lambda name: f"{variable(name)} in the environment", variable)


def flag(name: str) -> str:
    """A setting's name as a flag."""
    return "--" + name.replace("_", "-")


def _flags(flags: Mapping[str, Any]) -> _Layer:
    return _Layer({name: value for name, value in flags.items() if value is not None}, flag, flag)


def suggestion(name: str, spelled: Callable[[str], str]) -> str:
    """A question that names the setting most like an unknown name; empty if none is like it."""
    near = difflib.get_close_matches(name, Settings.model_fields, 1)
    return f" Did you mean {spelled(near[0])}?" if near else ""


def _shown_value(name: str, value: Any) -> str:
    if name in _SECRET:
        return "not shown here"
    shown = repr(str(value) if isinstance(value, Path) else value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
