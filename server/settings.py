"""Settings: what an operator can set. Each has a name, a type, a default and a sentence.

From these come the flags of ``hearth serve`` (``--max-body-bytes``), the environment's names
(``HEARTH_MAX_BODY_BYTES``), the keys of the TOML file (``max_body_bytes``) and the README's table. Where values come
from is not known here: `server.configuration` reads them.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

SHIPPED_MODELS = Path(__file__).parents[1] / "models" / "weights"
USER_MODELS = user_data_path("hearth", appauthor=False) / "models"
"""Where pulled, converted and trained models go, unless ``models_dir`` says otherwise."""


class SettingsError(Exception):
    """A setting is unknown or has a value it cannot have; the message is for the person who starts the server."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A type's values in words, for the message about one that is none."""

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
"""Names and what they stand for: ``a=b,c=d`` as text, a table in TOML."""
Folder = Annotated[Path, BeforeValidator(lambda value: value or None), Allowed("the path of a folder")]


def _setting(default: Any, about: str) -> Any:
    return Field(default, description=about)


class Settings(BaseModel):
    """What an operator can set. Raises pydantic's ``ValidationError`` for a value that a setting cannot have.

    Raises:
        SettingsError: the server would serve strangers without being told to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: Port = _setting(8000, "Port to listen on; 0 takes a free one.")
    allow_public: bool = _setting(False, "Listen on a public address without API keys.")
    api_keys: Hashes = _setting((), "SHA-256 of each API key, in hexadecimal; none: everybody may ask.")
    api_keys_file: str = _setting("", "TOML file of API keys with rates and models; SIGHUP reads it again.")
    allowed_hosts: HostNames = _setting((), "Further names under which a server without keys answers; '*': any name.")
    metrics_port: Port = _setting(0, "Port of its own for /metrics, which needs no key there; 0: the main one.")
    metrics_host: str = _setting("127.0.0.1", "Address of metrics_port.")
    vllm_metrics: bool = _setting(False, "Export vLLM's own metric names (vllm:...) beside ours.")
    otlp_endpoint: str = _setting("", "URL for spans, http://HOST:4318/v1/traces; also from OTEL_EXPORTER_OTLP_*.")
    cors_origins: Names = _setting((), "Web origins whose pages may ask; '*' allows all.")
    playground: bool = _setting(True, "Serve the playground, a page to try the models, at /.")
    unknown_fields: Literal["refuse", "ignore"] = _setting(
        "refuse", "Fields of requests that are not known here: refused with 400, or ignored and named in a header."
    )
    models_dir: Folder = _setting(USER_MODELS, "Folder with a folder for each model.")
    models: Names = _setting((), "Ids of the models to serve; none named: all there are.")
    aliases: Pairs = _setting((), "Other names of models, NAME=ID each; in TOML a table.")
    load: Literal["start", "use"] = _setting("start", "When models are loaded: at the start, or for their first use.")
    idle_unload_s: SecondsOrZero = _setting(0.0, "A model unused for so long gives its memory back; 0: never.")
    memory_mb: CountOrZero = _setting(0, "Memory for all loaded models; the least recently used give way. 0: no limit.")
    memory_wait_s: SecondsOrZero = _setting(30.0, "How long requests wait for memory to load their model; then 503.")
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
    request_timeout_s: SecondsOrZero = _setting(600.0, "A request that takes longer ends with 504.")
    drain_notice_s: SecondsOrZero = _setting(0.0, "After SIGTERM: /ready says 503, and new work is taken for so long.")
    drain_s: SecondsOrZero = _setting(30.0, "How long running requests may finish once new work is refused.")
    keep_alive_s: SecondsOrZero = _setting(75.0, "How long an idle connection is kept.")
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
    return ",".join(default) if isinstance(default, tuple) else str(default)
