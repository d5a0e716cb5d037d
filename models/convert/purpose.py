"""Finds the purpose of a repository from all of its files, since the architecture alone can mislead."""

import re
from collections.abc import Mapping

from models.convert.architectures import PAGES
from models.convert.contract import CannotConvert
from models.convert.source import Source

MODULES = "modules.json"
_USE = re.compile(r"^pipeline_tag:\s*([a-z-]+)", re.MULTILINE)


_SERVED = "Embedders that are served: MiniLM, bge, e5, gte, mpnet, nomic, bge-m3 and others of BERT's kind"
_RERANKERS = "Rerankers of BERT's, RoBERTa's, XLM-R's, DistilBERT's, ELECTRA's and MPNet's kind are served"
_UNSERVED: tuple[tuple[str, str, str], ...] = (
    ("Albert", "ALBERT: its embeddings are narrower than its layers, and CTranslate2's encoder has no matrix between",
     _SERVED),
    ("ModernBert", "ModernBERT: two of three of its layers see 64 tokens to each side, which no engine here computes",
     f"{_SERVED}, and gte-multilingual in transformers' form"),
    ("Deberta", "DeBERTa: its attention reads distances between tokens by tables of their own, which no engine here "
     "computes", "classifiers of BERT, RoBERTa, XLM-R, DistilBERT, ELECTRA and MPNet are served"),
    ("JinaBert", "a BERT of Jina's: its attention is biased by distance (ALiBi), which no encoder here computes",
     _SERVED),
    ("JinaEmbeddings", "Jina's third embedder: XLM-R with rotated positions and adapters (LoRA)", _SERVED),
    ("EuroBert", "EuroBERT: a Llama that sees both ways, which no engine here computes", _SERVED),
    ("Gemma3TextModel", "EmbeddingGemma: a Gemma 3 that sees both ways in windows, which no engine here computes",
     _SERVED),
    ("Gemma3Model", "EmbeddingGemma: a Gemma 3 that sees both ways in windows, which no engine here computes", _SERVED),
    ("UMT5", "UMT5: transformers itself computes other probabilities for it than it was trained with",
     "T5, Flan-T5 and mT5 are served"),
    ("MBart", "mBART: it has no page here yet", "M2M100, NLLB and OPUS-MT translate the same languages"),
    ("Bart", "BART: it has no page here yet", "Flan-T5 writes summaries"),
    ("Pegasus", "Pegasus: it has no page here yet", "Flan-T5 writes summaries"),
)  # fmt: skip
"""The prefix of a class's name, the kind of such a model, and a served alternative."""
_TASKS: tuple[tuple[str, str], ...] = (
    ("ForQuestionAnswering", "finds answers in a text"),
    ("ForMultipleChoice", "chooses between endings"),
    ("ForPreTraining", "was saved with the heads of its training; save its body alone, as AutoModel does"),
)
"""The suffix of a class's name, and the task of such a model; the server has no API for these tasks."""


def is_reranker(source: Source) -> bool:
    """Whether a sequence classifier ranks texts: it gives one number, or says that its two labels are for ranking."""
    labels = source.config.get("id2label")
    count = len(labels) if isinstance(labels, Mapping) else source.config.get("num_labels", 2)
    return source.architecture.endswith("ForSequenceClassification") and (
        count == 1 or (count == 2 and _use(source) == "text-ranking")
    )


def is_judge(source: Source) -> bool:
    """Whether a decoder ranks texts by answering yes or no in the form of Qwen3-Reranker."""
    return source.architecture == _JUDGE and _use(source) == "text-ranking"


_JUDGE = "Qwen3ForCausalLM"


def causal_architecture(source: Source) -> str | None:
    """A repository's class in the table of decoders, saved whole or as its body; None: it is not a known decoder."""
    name = source.architecture
    whole = name if name in PAGES else f"{name.removesuffix('Model')}ForCausalLM"
    return whole if whole in PAGES else None


def refuse_unserved(source: Source) -> None:
    """Refuse known but unsupported kinds by name. The table decides about unknown classes.

    Raises:
        CannotConvert: the model is of such a kind; the message names the kind and a remedy.
    """
    name = source.architecture
    for begins, what, instead in _UNSERVED:
        if name.startswith(begins):
            raise CannotConvert(f"{source.repository} is {what}. {instead}.")
    for ends, does in _TASKS:
        if name.endswith(ends):
            raise CannotConvert(f"{source.repository} {does}, which has no API here.")


def refuse_other_purpose(source: Source) -> None:
    """Refuse a model that would be served for a task that it was not trained for.

    Raises:
        CannotConvert: a decoder that embeds or ranks texts, or a translator that names languages in a way of its own.
    """
    use = _use(source)
    if (
        source.architecture in PAGES
        and not source.has(MODULES)
        and use in ("feature-extraction", "sentence-similarity")
    ):
        raise CannotConvert(
            f"{source.repository} embeds texts: it is a decoder, and has no {MODULES} that says which hidden state is "
            "the vector. As a chat model it would write nonsense."
        )
    if source.architecture in PAGES and use == "text-ranking" and not is_judge(source):
        raise CannotConvert(
            f"{source.repository} ranks texts by the answer of a decoder, which has no API here. {_RERANKERS}."
        )
    if "SMALL100" in str(source.tokenizer_config.get("tokenizer_class", "")).upper():
        raise CannotConvert(
            f"{source.repository} names the target's language before the source text, and M2M100, whose class it "
            "has, does not: it would translate into wrong languages. M2M100 and NLLB are served."
        )


def _use(source: Source) -> str:
    match = _USE.search(source.front_matter)
    return match[1] if match else ""
