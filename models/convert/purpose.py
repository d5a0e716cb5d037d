"""What a repository is for, where its architecture alone would mislead: told from all of it."""

import json
import re

from models.convert.architectures import PAGES
from models.convert.contract import CannotConvert
from models.convert.source import Source

_MODULES = "modules.json"
_USE = re.compile(r"^pipeline_tag:\s*([a-z-]+)", re.MULTILINE)


def refuse_other_purpose(source: Source) -> None:
    """Refuse what would be served as something that it was not trained for.

    Raises:
        CannotConvert: a decoder that embeds or ranks texts, or a translator that names languages in a way of its own.
    """
    use = _use(source)
    if source.architecture in PAGES and (source.has(_MODULES) or use in ("feature-extraction", "sentence-similarity")):
        raise CannotConvert(
            f"{source.repository} embeds texts: it is a decoder whose {_pooling(source)} is the vector, which is not "
            "served yet. As a chat model it would write nonsense. Embedders that are served: BERT, RoBERTa, XLM-R."
        )
    if source.architecture in PAGES and use == "text-ranking":
        raise CannotConvert(f"{source.repository} ranks texts for a question, which has no API yet.")
    if "SMALL100" in str(source.tokenizer_config.get("tokenizer_class", "")).upper():
        raise CannotConvert(
            f"{source.repository} names the target's language before the source text, and M2M100, whose class it "
            "has, does not: it would translate into wrong languages. M2M100 and NLLB are served."
        )


def _use(source: Source) -> str:
    match = _USE.search(source.front_matter)
    return match[1] if match else ""


def _pooling(source: Source) -> str:
    """Which hidden state is the vector, as far as it is said."""
    try:
        folders = [str(each["path"]) for each in json.loads(source.text(_MODULES)) if "Pooling" in str(each["type"])]
        config = source.json(f"{folders[0]}/config.json")
    except (ValueError, TypeError, KeyError, IndexError):
        return "last hidden state"
    return "last token" if config.get("pooling_mode_lasttoken") else "hidden state"
