"""Which function converts which architecture: one line each, by ``architectures[0]`` of ``config.json``.

The modules behind are loaded only when one is needed.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from models.convert.contract import CannotConvert, Converter
from models.convert.source import Source

CONVERTERS: Mapping[str, str] = {
    "BertForMaskedLM": "models.convert.embedders:convert",
    "BertModel": "models.convert.embedders:convert",
    "CamembertModel": "models.convert.embedders:convert",
    "DistilBertForMaskedLM": "models.convert.embedders:convert",
    "DistilBertModel": "models.convert.embedders:convert",
    "RobertaForMaskedLM": "models.convert.embedders:convert",
    "RobertaModel": "models.convert.embedders:convert",
    "XLMRobertaForMaskedLM": "models.convert.embedders:convert",
    "XLMRobertaModel": "models.convert.embedders:convert",
    "BertForSequenceClassification": "models.convert.classifiers:convert",
    "CamembertForSequenceClassification": "models.convert.classifiers:convert",
    "DistilBertForSequenceClassification": "models.convert.classifiers:convert",
    "RobertaForSequenceClassification": "models.convert.classifiers:convert",
    "XLMRobertaForSequenceClassification": "models.convert.classifiers:convert",
    "GPT2LMHeadModel": "models.convert.decoders:convert",
    "GemmaForCausalLM": "models.convert.decoders:convert",
    "Gemma2ForCausalLM": "models.convert.decoders:convert",
    "Gemma3ForCausalLM": "models.convert.decoders:convert",
    "LlamaForCausalLM": "models.convert.decoders:convert",
    "M2M100ForConditionalGeneration": "models.convert.seq2seq:convert_m2m100",
    "MarianMTModel": "models.convert.seq2seq:convert_marian",
    "MT5ForConditionalGeneration": "models.convert.t5:convert",
    "MistralForCausalLM": "models.convert.decoders:convert",
    "Qwen2ForCausalLM": "models.convert.decoders:convert",
    "Qwen3ForCausalLM": "models.convert.decoders:convert",
    "T5ForConditionalGeneration": "models.convert.t5:convert",
}
"""Architecture to ``module:function``, the function being a `Converter`."""


def converter_for(source: Source) -> Converter:
    """The function that converts this repository.

    Raises:
        CannotConvert: its architecture is not known here; the message lists those that are.
    """
    where = CONVERTERS.get(source.architecture)
    if where is None:
        raise CannotConvert(
            f"{source.repository} is a {source.architecture or source.model_type or 'model of no named architecture'}; "
            f"known here: {', '.join(sorted(CONVERTERS))}."
        )
    module, name = where.split(":")
    return cast(Converter, getattr(import_module(module), name))
