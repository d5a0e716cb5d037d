"""Decides whether the step engine can serve a model folder, and gives the reason if it cannot.

This module reads only headers. That takes milliseconds and no memory, so the server can ask before it loads weights.

Some models need numbers that CTranslate2's own converter does not write. If the engine can see that such a number is
missing, it refuses the model. A converter that writes these numbers makes the model exact:

- Llama 3.1's positions: ``rotary_scaling_factor`` (float32) and ``original_max_position_embeddings`` (int32) beside
  ``rotary_scaling_type`` of every layer in ``model.bin``. CTranslate2 reads them too.
- Gemma 2: the keys ``final_logit_softcap`` and ``attention_logit_softcap`` of ``config.json`` (0: no cap), and
  ``sliding_window`` (int32; 0: none) of every layer in ``model.bin``. CTranslate2 knows no cap of attention.

The engine cannot see whether other numbers are missing, so the converter must write them: ``queries_scale`` of every
layer if it is not one over the root of the head's size, ``rotary_scaling_type`` 0 and ``rotary_scaling_factor`` on the
layers of Gemma 3 with full attention, and the windows of a Qwen 2 that has windows.

CTranslate2 ignores attributes that it does not know. So a model that needs one of this engine's own attributes has the
specification ``HearthDecoderSpec`` instead of ``TransformerDecoderSpec``, and CTranslate2 refuses it. These are:

- norms only behind each half of a layer: ``post_attention_layer_norm`` and ``post_feedforward_layer_norm``;
- ``q_norm`` and ``k_norm`` as wide as all heads, which are then normalised as one row; or ``qk_norm_after_rotation``
  (int8, 1) of every layer;
- ``rotary_scaling_type`` 1 with only ``rotary_scaling_short_factor``, and ``rotary_attention_factor`` (float32): yarn;
- matrices in four bits, in revision 2: ``weight`` of shape (rows, groups, 16) beside ``weight_group_scale``.
"""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from models.tables import ManifestError
from models.vocabulary import read_target_vocabulary, read_vocabulary

if TYPE_CHECKING:
    from server.engines.step._core import Config

CORE = "server.engines.step._core"
OWN_SPECIFICATION = "HearthDecoderSpec"
NOT_COMPILED = (
    "the step engine was not compiled when the project was installed (it wants a C++20 compiler and CMake); "
    "install again with them to have it"
)


def core() -> ModuleType | None:
    """The compiled core, or None if the installation has none that can be loaded."""
    try:
        return import_module(CORE)
    except ImportError:
        return None


def is_own(folder: str | Path) -> bool:
    """Whether the file has this engine's own attributes, so that CTranslate2 refuses it. False if it is unreadable."""
    wanted = OWN_SPECIFICATION.encode() + b"\0"
    try:
        with (Path(folder) / "model.bin").open("rb") as file:
            return file.read(6 + len(wanted))[6:] == wanted  # after the version and the name's length
    except OSError:
        return False


def missing() -> str:
    """The reason why ``core`` returns None: the core was not compiled, or it cannot be loaded here."""
    try:
        import_module(CORE)
    except ModuleNotFoundError:
        pass
    except ImportError as error:
        return f"the step engine was compiled, but it cannot be loaded: {error}"
    return NOT_COMPILED


def config(folder: str | Path) -> "Config":
    """The values of config.json that the core needs. The compiled core must be installed.

    Raises:
        ValueError: config.json is not a JSON object, or a value is not a number in its range.
        OSError: config.json cannot be read.
    """
    values = _config(Path(folder))

    def number(name: str, most: float) -> float:
        value = values.get(name)
        if value is None:
            return -1.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < most:
            raise ValueError(f"config.json: {name} is not a number from 0 to {most:g}")
        return float(value)

    stated: Config = import_module(CORE).Config(
        epsilon=number("layer_norm_epsilon", 1),
        final_softcap=number("final_logit_softcap", 1e6),
        attention_softcap=number("attention_logit_softcap", 1e6),
    )
    return stated


def supports(folder: str | Path) -> str | None:
    """None if the step engine can serve this decoder; otherwise the reason, for people to read.

    Raises:
        ValueError: the folder lacks a number that every engine needs to compute the model's own answers.
    """
    compiled = core()
    if compiled is None:
        return missing()
    folder = Path(folder)
    try:
        if _config(folder).get("quantization_type"):
            return "it is quantized in a way other than CTranslate2's own (quantization_type in config.json)"
        facts = compiled.inspect(str(folder / "model.bin"), config(folder))
        entries = json.loads((folder / "vocabulary.json").read_text("utf-8"))
    except compiled.Incomplete:
        raise
    except (ValueError, OSError) as error:
        return str(error)
    if len(entries) != facts["vocabulary"]:
        return f"vocabulary.json has {len(entries)} entries and the model {facts['vocabulary']} embeddings"
    return None


@dataclass(frozen=True, slots=True)
class TranslatorSettings:
    """The special tokens of an encoder-decoder, from config.json."""

    start: str
    """The token that the decoder reads in the first step; if empty, it reads a zero embedding."""
    end: str
    unknown: str
    is_unknown_banned: bool
    """Whether the decoder must never write the unknown token."""


def translator_settings(folder: str | Path) -> TranslatorSettings:
    """Read the special tokens of an encoder-decoder from config.json.

    Raises:
        ValueError: config.json is not a JSON object, or the value of a token is no text.
        OSError: config.json cannot be read.
    """
    values = _config(Path(folder))

    def text(name: str, otherwise: str) -> str:
        value = values.get(name, otherwise)
        if not isinstance(value, str):
            raise ValueError(f"config.json: {name} is no text")
        return value

    start = "" if values.get("decoder_start_token") is None else text("decoder_start_token", "<s>")
    return TranslatorSettings(
        start, text("eos_token", "</s>"), text("unk_token", "<unk>"), values.get("disable_unk") is True
    )


def supports_translator(folder: str | Path) -> str | None:
    """None if the step engine can serve this encoder-decoder; otherwise the reason, for people to read."""
    compiled = core()
    if compiled is None:
        return missing()
    folder = Path(folder)
    try:
        facts = compiled.inspect_translator(str(folder / "model.bin"), config(folder))
        settings = translator_settings(folder)
        values = _config(folder)
        sources = read_vocabulary(folder)
        tokens = read_target_vocabulary(folder) or sources
    except (ValueError, OSError, ManifestError) as error:
        return str(error)
    if values.get("add_source_bos") or values.get("add_source_eos"):
        return "its source rows are changed by CTranslate2 (add_source_bos, add_source_eos)"
    for each, rows in ((sources, facts["source_vocabulary"]), (tokens, facts["vocabulary"])):
        if len(each) != rows:
            return f"the vocabulary has {len(each)} entries and the model {rows} embeddings"
    if not facts["zero_start"] and settings.start not in tokens:
        return "config.json names no token to start with (decoder_start_token)"
    if settings.end not in tokens or not all(settings.unknown in each for each in (sources, tokens)):
        return "the vocabulary lacks the end token or the unknown token of config.json"
    return None


def positions(folder: str | Path) -> int | None:
    """The number of the model's learned positions; None if its positions are computed, so that they have no limit."""
    compiled = core()
    if compiled is None:
        return None
    count: int = compiled.inspect(str(Path(folder) / "model.bin"), config(folder))["positions"]
    return count or None


def _config(folder: Path) -> dict[str, object]:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if not isinstance(config, dict):
        raise ValueError("config.json is not an object")
    return config
