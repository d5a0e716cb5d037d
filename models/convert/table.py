"""The table of converters: one line for each architecture, by ``architectures[0]`` of ``config.json``.

`models.convert.architectures` has the table of decoders; this module has all other architectures.

A converter's module is loaded only when it is needed.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from models.convert.architectures import PAGES, page_of
from models.convert.argos_files import ARCHITECTURE as ARGOS
from models.convert.contract import CannotConvert, Check, Converter, Quantization
from models.convert.ctranslate2_folder import is_folder_of_ctranslate2
from models.convert.purpose import (
    MODULES,
    causal_architecture,
    is_judge,
    is_reranker,
    refuse_other_purpose,
    refuse_unserved,
)
from models.convert.source import Source
from models.convert.student_files import ARCHITECTURE

CONVERTERS: Mapping[str, str] = {
    "BertForMaskedLM": "models.convert.embedders:convert",
    "BertModel": "models.convert.embedders:convert",
    "CamembertModel": "models.convert.embedders:convert",
    "CamembertForMaskedLM": "models.convert.embedders:convert",
    "DistilBertForMaskedLM": "models.convert.embedders:convert",
    "DistilBertModel": "models.convert.embedders:convert",
    "ElectraModel": "models.convert.embedders:convert",
    "GteModel": "models.convert.embedders:convert",
    "MPNetForMaskedLM": "models.convert.embedders:convert",
    "MPNetModel": "models.convert.embedders:convert",
    "NewModel": "models.convert.embedders:convert",
    "NomicBertModel": "models.convert.embedders:convert",
    "RobertaForMaskedLM": "models.convert.embedders:convert",
    "RobertaModel": "models.convert.embedders:convert",
    "XLMRobertaForMaskedLM": "models.convert.embedders:convert",
    "XLMRobertaModel": "models.convert.embedders:convert",
    "BertForSequenceClassification": "models.convert.classifiers:convert",
    "CamembertForSequenceClassification": "models.convert.classifiers:convert",
    "DistilBertForSequenceClassification": "models.convert.classifiers:convert",
    "ElectraForSequenceClassification": "models.convert.classifiers:convert",
    "MPNetForSequenceClassification": "models.convert.classifiers:convert",
    "RobertaForSequenceClassification": "models.convert.classifiers:convert",
    "XLMRobertaForSequenceClassification": "models.convert.classifiers:convert",
    "BertForTokenClassification": "models.convert.taggers:convert",
    "CamembertForTokenClassification": "models.convert.taggers:convert",
    "DistilBertForTokenClassification": "models.convert.taggers:convert",
    "ElectraForTokenClassification": "models.convert.taggers:convert",
    "MPNetForTokenClassification": "models.convert.taggers:convert",
    "RobertaForTokenClassification": "models.convert.taggers:convert",
    "XLMRobertaForTokenClassification": "models.convert.taggers:convert",
    "M2M100ForConditionalGeneration": "models.convert.seq2seq:convert_m2m100",
    "MarianMTModel": "models.convert.seq2seq:convert_marian",
    "StaticModel": "models.convert.static:convert",
    ARCHITECTURE: "models.convert.students:convert",
    ARGOS: "models.convert.argos:convert",
    "MT5ForConditionalGeneration": "models.convert.t5:convert",
    "T5ForConditionalGeneration": "models.convert.t5:convert",
}
"""Architecture to ``module:function``, the function being a `Converter`."""
_DECODERS = "models.convert.decoders:convert"
_EMBEDDERS = "models.convert.decoder_embedders:convert"
_CLASSIFIERS = "models.convert.classifiers:convert"
_JUDGES = "models.convert.judges:convert"
_RERANKERS = "models.convert.rerankers:convert"
_OF_CTRANSLATE2 = "models.convert.ctranslate2_folder:convert"


TORCH = ("safetensors", "torch", "transformers")
"""The packages that a comparison with the original needs."""


def needed(source: Source, check: Check) -> tuple[str, ...]:
    """The packages beyond a server's that the conversion of this repository needs."""
    return TORCH if check == "original" and source.architecture not in (ARCHITECTURE, ARGOS) else ()


def converter_for(source: Source, quantization: Quantization = "int8_float32") -> Converter:
    """The function that converts this repository.

    Raises:
        CannotConvert: the architecture is unknown (the message lists the known ones), the repository has another
            purpose than its architecture suggests, or no engine here computes its configuration or its weights in
            this quantization.
    """
    refuse_other_purpose(source)
    if source.architecture in PAGES:
        page_of(source.architecture).decoder(source.config)
    where = _DECODERS if source.architecture in PAGES else CONVERTERS.get(source.architecture)
    if where in (None, _DECODERS) and source.has(MODULES) and causal_architecture(source) is not None:
        where = _EMBEDDERS
    if where == _CLASSIFIERS and is_reranker(source):
        where = _RERANKERS
    if is_judge(source):
        where = _JUDGES
    if is_folder_of_ctranslate2(source):
        where = _OF_CTRANSLATE2
    if where is None:
        refuse_unserved(source)
        raise CannotConvert(
            f"{source.repository} is a {source.architecture or source.model_type or 'model of no named architecture'}; "
            f"known here: {', '.join(sorted({*CONVERTERS, *PAGES}))}."
        )
    if quantization == "int4" and where != _DECODERS:
        raise CannotConvert(
            f"{source.repository} cannot be served in four bits: only decoders converted from their own weights can. "
            "Leave out --quantization."
        )
    module, name = where.split(":")
    return cast(Converter, getattr(import_module(module), name))
