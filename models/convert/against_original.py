"""Compares a converted decoder with transformers' own model, for users with torch and for every family's tests."""

import tempfile
from pathlib import Path
from typing import Any

from models.cards import Figure
from models.convert.contract import Request
from models.convert.decoder_files import write_decoder, write_facts
from models.convert.network import Decoder
from models.convert.original import load
from models.convert.probe import open_loop
from models.convert.selfcheck import Reference, check_ids, reference, require_exact, require_served
from models.convert.source import Source
from models.convert.tokens import Tokens


def require_original(
    source: Source, decoder: Decoder, tokens: Tokens, folder: Path, request: Request
) -> tuple[Figure, ...]:
    """Refuse a folder whose outputs differ from the original's.

    Raises:
        Mismatch: the float32 outputs differ, or the served model differs by more than its quantization's noise.
    """
    # No other implementation of attention computes soft caps.
    model = load("AutoModelForCausalLM", source, attn_implementation="eager")
    ids = check_ids(tokens, request.context_of(decoder.context_tokens), decoder.window)
    request.report(f"asking the original for {len(ids)} tokens")
    wanted = reference(model, ids)
    exact = _without_softcap(model, wanted)
    del model
    figures = [] if decoder.is_own else [_compared_in_float32(source, decoder, tokens, folder, exact)]
    if decoder.is_own:
        request.report("CTranslate2 does not compute this model: float32 is not compared")
    request.report("comparing what will be served with the original")
    with (request.open_probe or open_loop)(folder) as probe:
        return (*figures, *require_served(wanted, probe, request.quantization))


def _compared_in_float32(source: Source, decoder: Decoder, tokens: Tokens, folder: Path, exact: Reference) -> Figure:
    """Compare the weights in float32, through CTranslate2's loop, with the original.

    Raises:
        Mismatch: a logit differs by more than rounding errors.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        write_decoder(source, decoder, Path(beside), "float32")
        write_facts(decoder, tokens.specials, tokens.vocabulary, Path(beside))
        near = exact.ids[: decoder.window]  # CTranslate2 ignores windows
        with open_loop(Path(beside)) as probe:
            return require_exact(exact.logits[: len(near)], probe.logits(near))


def _without_softcap(model: Any, wanted: Reference) -> Reference:
    """The original's outputs without soft caps on attention, for the comparison with CTranslate2, which lacks them."""
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
