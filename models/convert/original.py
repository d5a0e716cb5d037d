"""Loads a repository's model with transformers, as the reference for a conversion."""

from collections.abc import Sequence
from typing import Any

from models.convert.contract import CannotConvert
from models.convert.source import Source


def load(kind: str, source: Source, dispensable: Sequence[str] = (), **options: Any) -> Any:
    """The original, in float32 and ready to compute.

    Args:
        kind: the name of an automatic class of transformers.
        source: the repository.
        dispensable: parts of the names of weights that the repository may lack: computed, tied to others or unused.
        options: options of the class's ``from_pretrained``.

    Raises:
        CannotConvert: the files are not such a model, are quantized already, or lack weights.
    """
    import transformers
    from torch import float32
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if source.config.get("quantization_config"):
        raise CannotConvert(f"{source.repository} is quantized already; take the repository it was made from.")
    try:
        model, found = getattr(transformers, kind).from_pretrained(
            str(source.folder),
            dtype=float32,
            local_files_only=True,
            trust_remote_code=False,  # never run the repository's code
            weights_only=True,  # a pickle may hold only tensors
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # the library raises any class
        raise CannotConvert(f"{source.repository} cannot be read: {error}") from error
    # A layer without its weights is random numbers, and a faithful conversion of these would pass every check.
    missing = sorted(name for name in found["missing_keys"] if not any(part in name for part in dispensable))
    if missing:
        raise CannotConvert(f"{source.repository} lacks weights: {', '.join(missing[:5])}.")
    return model.eval()
