"""Decoders: Llama, Mistral, Qwen 2 and 3, Gemma 1 to 3, GPT-2, from a hub repository to a model folder.

CTranslate2's converter maps the weights, `models.convert.facts` states all else, `models.convert.selfcheck` compares.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from models.cards import Figure, TokenizerSpec
from models.convert import tokens as tokenizer_file
from models.convert.chat import chat_template, family_of, generation_spec
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.facts import smallest, state_facts, windows_of
from models.convert.original import load
from models.convert.probe import open_loop
from models.convert.selfcheck import Reference, check_ids, reference, require_exact, require_served
from models.convert.source import Source
from models.convert.tokens import Tokens


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """See `models.convert.contract.Converter`."""
    template = chat_template(source)
    request.report(f"reading {source.repository}")
    # Soft caps are computed by no other implementation of attention.
    model = load("AutoModelForCausalLM", source, attn_implementation="eager")
    config = model.config.get_text_config()
    tokens = Tokens(source, model.get_input_embeddings().num_embeddings)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    ids = check_ids(tokens, request.context_of(config.max_position_embeddings), smallest(windows_of(config)))
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
    from ctranslate2.converters.transformers import _MODEL_LOADERS  # its converter would load everything once more

    try:
        loader = _MODEL_LOADERS[type(model.config).__name__]
        with torch.no_grad():
            spec = loader.get_model_spec(model)
    except (NotImplementedError, KeyError, AttributeError) as error:
        raise CannotConvert(f"CTranslate2's converter refuses {source.repository}: {error}") from error
    roles = {role: tokens.specials.get(role, "") for role in ("bos_token", "eos_token", "unk_token", "pad_token")}
    loader.set_config(spec.config, model, SimpleNamespace(**roles, chat_template=None))
    spec.register_vocabulary(tokens.vocabulary)
    return spec


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
