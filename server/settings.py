"""The settings that an operator can make, and their reading from flags, environment and TOML file.

Each setting has a name, a type, a default and a sentence. From these come the flags of ``hearth serve``
(``--max-body-bytes``), the environment's names (``HEARTH_MAX_BODY_BYTES``), the keys of the TOML file
(``max_body_bytes``) and the table in docs/settings.md. No other module reads the environment and the file.

A flag wins over the environment, the environment over the file. Every value is checked, also one that another wins
over. An unknown name in the file or among the flags is an error. In the environment it is a warning, since other
programs write there too: Kubernetes for one.
"""

import difflib
import ipaddress
import logging
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

SHIPPED_MODELS = Path(__file__).parents[1] / "models" / "weights"
USER_DATA = user_data_path("hearth", appauthor=False)
USER_MODELS = USER_DATA / "models"
"""The folder of pulled, converted and trained models, unless ``models_dir`` is set."""
USER_STORE = USER_DATA / "store"
"""The folder of files and batches, unless ``data_dir`` is set."""


class SettingsError(Exception):
    """A setting is unknown or has a value it cannot have; the message is for the person who starts the server."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A type's values in words, for the message about a wrong value."""

    words: str


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")
    return value


def _items(value: Any) -> Any:
    """The items of a list that may be written as one text, with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part for part in map(_stripped, parts) if part) if isinstance(parts, list) else parts


def _stripped(part: Any) -> Any:
    return part.strip() if isinstance(part, str) else part


def _pairs(value: Any) -> Any:
    if isinstance(value, str):
        found = [part.split("=") for part in value.split(",") if part.strip()]
    elif isinstance(value, Mapping):
        found = [list(pair) for pair in value.items()]
    else:
        return value
    pairs = tuple(tuple(map(_stripped, pair)) for pair in found)
    if not all(name for pair in pairs for name in pair) or len({pair[0] for pair in pairs}) < len(pairs):
        raise ValueError("a name is missing, or stands there twice")
    return pairs


_NUMBER = BeforeValidator(_no_bool)
_LIST = BeforeValidator(_items)

Port = Annotated[int, _NUMBER, Field(ge=0, le=65535), Allowed("a whole number, 0 to 65535")]
Count = Annotated[int, _NUMBER, Field(ge=1), Allowed("a whole number of at least 1")]
CountOrZero = Annotated[int, _NUMBER, Field(ge=0), Allowed("a whole number of at least 0")]
Seconds = Annotated[float, _NUMBER, Field(gt=0), Allowed("a number of seconds above 0")]
SecondsOrZero = Annotated[float, _NUMBER, Field(ge=0), Allowed("a number of seconds of at least 0")]
Names = Annotated[tuple[str, ...], _LIST, Allowed("a list of names")]
Hashes = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...],
    _LIST,
    Allowed("a list of SHA-256 hashes in lower case hexadecimal, as `hearth key` prints them"),
]
HostNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9._-]+)$")], ...],
    _LIST,
    Allowed("a list of host names without scheme and port, or '*' for any name"),
]
Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs), Allowed("a list of NAME=ID")]
"""Pairs of a name and its meaning: ``a=b,c=d`` as text, a table in TOML."""
Folder = Annotated[Path, BeforeValidator(lambda value: value or None), Allowed("the path of a folder")]


def _setting(default: Any, about: str) -> Any:
    return Field(default, description=about)


class Settings(BaseModel):
    """All settings. Raises pydantic's ``ValidationError`` for a value that a setting cannot have.

    Raises:
        SettingsError: the server would listen publicly without keys, and ``allow_public`` is not set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: Port = _setting(8000, "Port to listen on; 0 takes a free one.")
    allow_public: bool = _setting(False, "Listen on a public address without API keys.")
    api_keys: Hashes = _setting((), "SHA-256 of each API key, in hexadecimal. Without any, every client is served.")
    api_keys_file: str = _setting("", "TOML file of API keys with rates and models; SIGHUP reads it again.")
    allowed_hosts: HostNames = _setting((), "Further names under which a server without keys answers; '*': any name.")
    metrics_port: Port = _setting(0, "Port of its own for /metrics, which needs no key there; 0: the main one.")
    metrics_host: str = _setting("127.0.0.1", "Address of metrics_port.")
    vllm_metrics: bool = _setting(False, "Export vLLM's own metric names (vllm:...) beside ours.")
    otlp_endpoint: str = _setting("", "URL for spans, http://HOST:4318/v1/traces; also from OTEL_EXPORTER_OTLP_*.")
    cors_origins: Names = _setting((), "Web origins whose pages may call the API; '*' allows all.")
    playground: bool = _setting(True, "Serve the playground, a page to try the models, at /.")
    unknown_fields: Literal["refuse", "ignore"] = _setting(
        "refuse", "Unknown fields of requests: refused with 400, or ignored and named in a header."
    )
    models_dir: Folder = _setting(USER_MODELS, "Folder with a folder for each model.")
    models: Names = _setting((), "Ids of the models to serve; without any, all are served.")
    aliases: Pairs = _setting((), "Other names of models, NAME=ID each; in TOML a table.")
    load: Literal["start", "use"] = _setting("start", "When models are loaded: at the start, or for their first use.")
    idle_unload_s: SecondsOrZero = _setting(0.0, "A model unused for so long is unloaded; 0: never.")
    memory_mb: CountOrZero = _setting(0, "Memory for all loaded models; the least recently used give way. 0: no limit.")
    memory_wait_s: SecondsOrZero = _setting(30.0, "Requests wait so long for memory to load their model; then 503.")
    cores: CountOrZero = _setting(0, "Cores to compute with; 0: all that affinity and the cgroup's quota allow.")
    queue_rows: Count = _setting(4096, "Most rows that wait for one model; more are refused with 429.")
    queue_tokens: Count = _setting(500_000, "Most tokens that wait for one model; more are refused with 429.")
    batch_rows: Count = _setting(32, "Most rows in one batch of a generator or translator.")
    max_body_bytes: Count = _setting(2_000_000, "Largest request body.")
    body_timeout_s: Seconds = _setting(60.0, "A request whose body takes longer to arrive ends with 408.")
    header_timeout_s: Seconds = _setting(20.0, "A request whose headers take longer to arrive ends with 408.")
    send_timeout_s: Seconds = _setting(60.0, "A client that does not read its answer for so long is cut off.")
    max_connections: Count = _setting(10_000, "Most connections; over it idle ones are closed, then new ones get 503.")
    max_list_items: Count = _setting(2048, "Most inputs in one request.")
    data_dir: Folder = _setting(USER_STORE, "Folder of uploaded files and of batches; one server at a time uses it.")
    max_file_bytes: Count = _setting(512_000_000, "Largest uploaded file.")
    key_bytes: Count = _setting(10_000_000_000, "Most bytes of files that one API key may keep; more get 403.")
    key_files: Count = _setting(10_000, "Most files that one API key may keep; more get 403.")
    key_batches: Count = _setting(100, "Most open batches of one API key; more get 403.")
    batch_lines: Count = _setting(50_000, "Most lines of one batch.")
    request_timeout_s: SecondsOrZero = _setting(600.0, "A request that takes longer ends with 504.")
    drain_notice_s: SecondsOrZero = _setting(0.0, "After SIGTERM: /ready says 503, and new work is taken for so long.")
    drain_s: SecondsOrZero = _setting(30.0, "Running requests may go on for so long after new work is refused.")
    keep_alive_s: SecondsOrZero = _setting(75.0, "An idle connection is kept for so long.")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "debug, info, warning or error.")
    log_format: Literal["text", "json"] = _setting("text", "text, or json for a line of JSON each.")

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """The folders that hold models: the one that is set, or the user's and the shipped. An earlier one wins."""
        return (USER_MODELS, SHIPPED_MODELS) if self.models_dir == USER_MODELS else (self.models_dir,)

    @model_validator(mode="after")
    def _require_keys_or_the_word(self) -> "Settings":
        if not (self.api_keys or self.api_keys_file or self.allow_public or _is_loopback(self.host)):
            raise SettingsError(
                f"host is {self.host}, where others can reach it, and there are no api_keys. "
                "Set api_keys or api_keys_file, or allow_public to serve everybody."
            )
        return self


def allowed(name: str) -> str:
    """The values that a setting can have, in words."""
    about = Settings.model_fields[name]
    if words := [each.words for each in about.metadata if isinstance(each, Allowed)]:
        return words[0]
    if get_origin(about.annotation) is Literal:
        return f"one of {', '.join(get_args(about.annotation))}"
    return "yes or no" if about.annotation is bool else "a text"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def table() -> list[tuple[str, str, str]]:
    """Name, default and sentence of every setting, for ``--help`` and the documentation's test."""
    return [(name, _shown(about.default), about.description or "") for name, about in Settings.model_fields.items()]


def _shown(default: Any) -> str:
    if default == USER_MODELS:
        return "the user's data folder, beside the shipped models"
    if default == USER_STORE:
        return "the user's data folder"
    return ",".join(default) if isinstance(default, tuple) else str(default)


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
