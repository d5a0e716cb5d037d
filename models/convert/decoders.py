"""Decoders: Llama, Mistral, Qwen 2 and 3, Gemma 1 to 3, GPT-2, from a hub repository to a model folder.

CTranslate2's converter maps the weights, `models.convert.facts` states all else, `models.convert.selfcheck` compares.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.cards import Figure, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.chat import chat_template, family_of, generation_spec
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.facts import state_facts
from models.convert.probe import open_loop
from models.convert.selfcheck import Reference, check_ids, reference, require_exact, require_served
from models.convert.source import Source
from models.convert.tokens import Tokens


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """See `models.convert.contract.Converter`."""
    template = chat_template(source)
    request.report(f"reading {source.repository}")
    model = load(source)
    config = model.config.get_text_config()
    tokens = Tokens(source, model.get_input_embeddings().num_embeddings)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    ids = check_ids(tokens, request.context_of(config.max_position_embeddings), _window(config))
    request.report(f"asking the original for {len(ids)} tokens")
    wanted = reference(model, ids)
    exact = _without_softcap(model, wanted)
    request.report("converting")
    spec = _specification(source, model, tokens)
    facts = state_facts(spec, config)
    for key, value in facts.config.items():
        spec.config.add_attribute(key, value)
    figure = _write(spec, folder, exact, facts.window, request)
    tokens.write(folder)
    request.report("comparing what will be served with the original")
    with (request.open_probe or open_loop)(folder) as probe:
        figures = require_served(wanted, probe, request.quantization)
    written = generation_spec(source, tokens, template, folder)
    return Converted(
        task="generation",
        family=family_of(template),
        context_length_tokens=request.context_of(facts.context_tokens),
        parameters=parameters,
        tokenizer=TokenizerSpec("huggingface", tokenizer_file.FILE),
        figures=(figure, *figures),
        generation=replace(written, closed_loop_tokens=facts.closed_loop_tokens),
    )


def load(source: Source) -> Any:
    """The original, in float32 and ready to compute.

    Raises:
        CannotConvert: transformers cannot load it.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if source.config.get("quantization_config"):
        raise CannotConvert(f"{source.repository} is quantized already; take the repository it was made from.")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(source.folder),
            dtype=torch.float32,
            attn_implementation="eager",  # the only one that computes soft caps
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CannotConvert(f"transformers cannot load {source.repository}: {error}") from error
    return model.eval()


def _window(config: Any) -> int | None:
    """The smallest sliding window, for the length of the check."""
    types = getattr(config, "layer_types", None) or []
    if config.model_type == "mistral" or "sliding_attention" in types:
        return config.sliding_window or None
    return None


def _without_softcap(model: Any, wanted: Reference) -> Reference:
    """What the original computes without soft caps on attention: CTranslate2 has none, and is held to this."""
    capped = [m for m in model.modules() if getattr(m, "attn_logit_softcapping", None) is not None]
    if not capped:
        return wanted
    caps = [module.attn_logit_softcapping for module in capped]
    for module in capped:
        module.attn_logit_softcapping = None
    plain = reference(model, wanted.ids)
    for module, cap in zip(capped, caps, strict=True):
        module.attn_logit_softcapping = cap
    return plain


def _specification(source: Source, model: Any, tokens: Tokens) -> Any:
    """CTranslate2's specification with the weights; the model is of no more use after it.

    Raises:
        CannotConvert: its converter does not know something.
    """
    import torch
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):  # type: ignore[misc]
        """Converts what is in memory: no file is read twice, and no tokenizer is guessed."""

        def load_model(self, model_class: Any, name: str, **options: Any) -> Any:
            return model

        def load_tokenizer(self, tokenizer_class: Any, name: str, **options: Any) -> Any:
            return _Named(tokens)

        def specification(self) -> Any:
            return self._load()

    try:
        with torch.no_grad():
            spec = Converter(model.name_or_path).specification()
    except (NotImplementedError, KeyError, AttributeError) as error:
        raise CannotConvert(f"CTranslate2's converter refuses {source.repository}: {error}") from error
    spec.register_vocabulary(tokens.vocabulary)
    return spec


class _Named:
    """As much of a transformers tokenizer as the converter asks for."""

    chat_template = None

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        for role in ("bos_token", "eos_token", "unk_token", "pad_token"):
            setattr(self, role, tokens.specials.get(role, ""))

    def get_vocab(self) -> dict[str, int]:
        """The vocabulary: token to id."""
        return {token: id for id, token in enumerate(self._tokens.vocabulary)}


def _write(spec: Any, folder: Path, wanted: Reference, window: int | None, request: Request) -> Figure:
    """Write the model's files, and compare the weights before they are quantized: as far as CTranslate2 can, which
    forgets windows.
    """
    ids = wanted.ids[:window]
    spec.validate()
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        spec.save(beside)
        with open_loop(Path(beside)) as probe:
            figure = require_exact(wanted.logits[: len(ids)], probe.logits(ids))
    spec.optimize(quantization=request.quantization)
    spec.save(str(folder))
    return figure
