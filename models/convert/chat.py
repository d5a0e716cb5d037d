"""The chat facts of a decoder's repository: its template, the tokens that end a turn, the recommended sampling."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.cards import SAMPLING, GenerationSpec
from models.convert.contract import CannotConvert
from models.convert.fill import fill_spec
from models.convert.source import Source
from models.convert.tokens import Tokens

FILE = "chat_template.jinja"

_ENDS_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>")
"""Tokens that end a turn in any template that writes them; repositories do not always list them."""
_GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")


def chat_template(source: Source) -> str | None:
    """The template as one text for plain Jinja2; None if the repository has no template.

    Raises:
        CannotConvert: the text is not a Jinja2 template.
    """
    found = _found(source)
    if found is None:
        return None
    text = readable(found)
    try:
        ImmutableSandboxedEnvironment(extensions=[loopcontrols]).parse(text)
    except jinja2.TemplateSyntaxError as error:
        raise CannotConvert(f"line {error.lineno} of the chat template: {error.message}") from error
    return text


def readable(template: str) -> str:
    """A template without transformers' own tag that marks the text to train on; the tag writes nothing."""
    return _GENERATION.sub(lambda m: "{%" + m[1] + (" endif " if m[2] else " if true ") + m[3] + "%}", template)


def generation_spec(source: Source, tokens: Tokens, template: str | None, folder: Path) -> GenerationSpec:
    """The manifest's section on prompts and completions; writes the template's file.

    Raises:
        CannotConvert: no token ends a completion.
    """
    stops = stop_tokens(source, tokens, template)
    if not stops:
        raise CannotConvert(f"{source.repository} names no token that ends a completion (eos_token_id).")
    if template is not None:
        (folder / FILE).write_text(template, encoding="utf-8")
    return GenerationSpec(
        template=None if template is None else FILE,
        stop_tokens=stops,
        bos_token=tokens.begins_with,
        variables=dict(tokens.specials),
        fill=fill_spec(tokens),
        sampling=recommended(source.generation_config),
    )


def recommended(config: Mapping[str, Any]) -> dict[str, float]:
    """The sampling that a ``generation_config.json`` recommends, without values that make no sense."""
    if config.get("do_sample") is False:  # transformers wrote the other values by default
        return {}
    found = {}
    for name, (least, most) in SAMPLING.items():
        value = config.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            found[name] = int(value) if name == "top_k" else value
    if found.get("top_p") == 0:
        del found["top_p"]
    return found


def stop_tokens(source: Source, tokens: Tokens, template: str | None) -> tuple[str, ...]:
    """Every token that ends a completion: those of both configurations, and the ends of turns in the template."""
    ids: list[Any] = []
    for table in (source.generation_config, source.config, source.config.get("text_config") or {}):
        listed = table.get("eos_token_id")
        ids += listed if isinstance(listed, list) else [listed]
    found = [tokens.token(id) for id in ids if isinstance(id, int)]
    found.append(tokens.specials.get("eos_token"))
    found += [end for end in _ENDS_OF_TURN if template is not None and end in template and tokens.has(end)]
    return tuple(dict.fromkeys(token for token in found if token is not None))


def _found(source: Source) -> str | None:
    if source.has(FILE):
        return source.text(FILE)
    for table in (source.json("chat_template.json"), source.tokenizer_config):
        stated = table.get("chat_template")
        if isinstance(stated, str):
            return stated
        if isinstance(stated, list):  # several templates by name; transformers takes `tool_use` for requests with tools
            named = {str(entry.get("name")): str(entry.get("template")) for entry in stated}
            default = named.get("default")
            with_tools = named.get("tool_use")
            if default is not None and with_tools is not None:
                return "{%- if tools %}" + with_tools + "{%- else %}" + default + "{%- endif %}"
            return default
    return None
