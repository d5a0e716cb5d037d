"""Settings: the only module that reads the environment and the configuration file.

Each has a name, a type, a default and a sentence; from these come the flags of ``hearth serve``
(``--max-body-bytes``), the environment's names (``HEARTH_MAX_BODY_BYTES``) and the keys of the TOML file
(``max_body_bytes``). A flag wins over the environment, the environment over the file. Unknown names are errors.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

ENVIRONMENT_PREFIX = "HEARTH_"
SHIPPED_MODELS = Path(__file__).parents[1] / "models" / "weights"


Pairs = tuple[tuple[str, str], ...]
"""Names and what they stand for: ``a=b,c=d`` as text, a table in TOML."""


class SettingsError(Exception):
    """A setting is unknown or has a value it cannot have; the message is for the person who starts the server."""


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can set."""

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8000, "Port to listen on; 0 takes a free one.")
    allow_public: bool = _setting(False, "Listen on a public address without API keys.")
    api_keys: tuple[str, ...] = _setting((), "SHA-256 of each API key, in hexadecimal; none: everybody may ask.")
    api_keys_file: str = _setting("", "TOML file of API keys with rates and models; SIGHUP reads it again.")
    allowed_hosts: tuple[str, ...] = _setting((), "Further names under which a server without keys answers.")
    metrics_port: int = _setting(0, "Port of its own for /metrics, which needs no key there; 0: the main one.")
    metrics_host: str = _setting("127.0.0.1", "Address of metrics_port.")
    vllm_metrics: bool = _setting(False, "Export vLLM's own metric names (vllm:...) beside ours.")
    otlp_endpoint: str = _setting("", "URL for spans, http://HOST:4318/v1/traces; also from OTEL_EXPORTER_OTLP_*.")
    cors_origins: tuple[str, ...] = _setting((), "Web origins whose pages may ask; '*' allows all.")
    playground: bool = _setting(True, "Serve the playground, a page to try the models, at /.")
    models_dir: Path = _setting(SHIPPED_MODELS, "Folder with a folder for each model.")
    models: tuple[str, ...] = _setting((), "Ids of the models to serve; none named: all there are.")
    aliases: Pairs = _setting((), "Other names of models, NAME=ID each; in TOML a table.")
    load: Literal["start", "use"] = _setting("start", "When models are loaded: at the start, or for their first use.")
    idle_unload_s: float = _setting(0.0, "A model unused for so long gives its memory back; 0: never.")
    memory_mb: int = _setting(0, "Memory for all loaded models; the least recently used give way. 0: no limit.")
    memory_wait_s: float = _setting(30.0, "How long requests wait for memory to load their model; then 503.")
    cores: int = _setting(0, "Cores to compute with; 0: all that affinity and the cgroup's quota allow.")
    queue_rows: int = _setting(4096, "Most rows that wait for one model; more are refused with 429.")
    queue_tokens: int = _setting(500_000, "Most tokens that wait for one model; more are refused with 429.")
    batch_rows: int = _setting(32, "Most rows in one batch of a generator or translator.")
    max_body_bytes: int = _setting(2_000_000, "Largest request body.")
    body_timeout_s: float = _setting(60.0, "A request whose body takes longer to arrive ends with 408.")
    header_timeout_s: float = _setting(20.0, "A request whose headers take longer to arrive ends with 408.")
    send_timeout_s: float = _setting(60.0, "A client that does not read its answer for so long is cut off.")
    max_connections: int = _setting(10_000, "Most connections; over it idle ones are closed, then new ones get 503.")
    max_list_items: int = _setting(2048, "Most inputs in one request.")
    request_timeout_s: float = _setting(600.0, "A request that takes longer ends with 504.")
    drain_s: float = _setting(30.0, "How long running requests may finish after SIGTERM.")
    keep_alive_s: float = _setting(75.0, "How long an idle connection is kept.")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "debug, info, warning or error.")
    log_format: Literal["text", "json"] = _setting("text", "text, or json for a line of JSON each.")

    def __post_init__(self) -> None:
        for name in ("queue_rows", "queue_tokens", "batch_rows", "max_body_bytes", "max_list_items", "max_connections"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in (
            "request_timeout_s",
            "drain_s",
            "keep_alive_s",
            "cores",
            "idle_unload_s",
            "memory_mb",
            "memory_wait_s",
        ):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must not be negative.")
        for name in ("body_timeout_s", "header_timeout_s", "send_timeout_s"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in ("port", "metrics_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be 0 to 65535.")
        for key in self.api_keys:
            if len(key) != 64 or any(c not in "0123456789abcdef" for c in key):
                raise SettingsError("api_keys has an entry that is no SHA-256 in lower case hexadecimal.")
        if not (self.api_keys or self.api_keys_file or self.allow_public or _is_loopback(self.host)):
            raise SettingsError(
                f"host is {self.host}, where others can reach it, and there are no api_keys. "
                "Set api_keys or api_keys_file, or allow_public to serve everybody."
            )


def load_settings(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None, file: Path | None = None
) -> Settings:
    """Settings from flags, environment and TOML file.

    Args:
        flags: values as text or already of their type; None means not given.
        environment: ``os.environ`` when not given.
        file: the TOML file; else the one named by ``HEARTH_CONFIG``, if any.

    Raises:
        SettingsError: an unknown name, or a value that is none.
    """
    environment = os.environ if environment is None else environment
    named = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    if (from_environment := named.pop("config", None)) and file is None:
        file = Path(from_environment)
    values: dict[str, Any] = {}
    if file is not None:
        values |= _parsed(_read(file), str(file))
    values |= _opentelemetrys(environment)
    values |= _parsed(named, "the environment")
    values |= _parsed({k: v for k, v in (flags or {}).items() if v is not None}, "the flags")
    return Settings(**values)


def _opentelemetrys(environment: Mapping[str, str]) -> dict[str, str]:
    """Where spans go by OpenTelemetry's own names; the rest of them its library reads itself."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return {}
    if endpoint := environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return {"otlp_endpoint": endpoint}
    if endpoint := environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return {"otlp_endpoint": endpoint.rstrip("/") + "/v1/traces"}
    return {}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error


def _parsed(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    types = get_type_hints(Settings)
    unknown = sorted(values.keys() - types.keys())
    if unknown:
        raise SettingsError(f"{where} sets {', '.join(unknown)}; there is no such setting.")
    return {name: _value(name, value, types[name], where) for name, value in values.items()}


def _value(name: str, value: Any, wanted: Any, where: str) -> Any:
    try:
        if wanted is bool:
            if isinstance(value, str):
                return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[value.lower()]
            if not isinstance(value, bool):
                raise TypeError
            return value
        if get_origin(wanted) is Literal:
            return {choice: choice for choice in get_args(wanted)}[value]
        if wanted == tuple[str, ...]:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(part.strip() for part in parts if part.strip())
        if wanted == Pairs:
            return _pairs(value)
        return wanted(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(f"{where} sets {name} to {value!r}, which is not {_type_name(wanted)}.") from error


def _pairs(value: Any) -> Pairs:
    if isinstance(value, str):
        value = dict(part.split("=") for part in value.split(",") if part.strip())
    pairs = tuple((name.strip(), target.strip()) for name, target in value.items())
    if not all(name and target for name, target in pairs):
        raise ValueError
    return pairs


def _type_name(wanted: Any) -> str:
    if wanted == Pairs:
        return "a list of NAME=ID"
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(get_args(wanted))}"
    return {bool: "yes or no", int: "a whole number", float: "a number", Path: "a path"}.get(wanted, "a list of names")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def table() -> list[tuple[str, str, str]]:
    """Name, default and sentence of every setting, for ``--help`` and the documentation's test."""
    return [(f.name, _shown(f.default), f.metadata["about"]) for f in fields(Settings)]


def _shown(default: Any) -> str:
    if default == SHIPPED_MODELS:
        return "the shipped models"
    return ",".join(default) if isinstance(default, tuple) else str(default)
