"""Recognises repositories that cannot be converted, by their files' names and their configuration.

This check runs before weights are downloaded. A refusal names the repository's kind and a remedy.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from models.convert.contract import CannotConvert

_WEIGHTS = re.compile(r"(model.*\.safetensors|pytorch_model.*\.bin|.*\.gguf|model\.safetensors\.index\.json)")
_OTHER_FORMS = (
    (r".*\.argosmodel", "an Argos package", "hearth convert takes the file itself"),
    (r".*\.intgemm.*\.bin\.gz", "a Firefox translator that is packed", "unpack its files (gunzip) first"),
    (r".*\.intgemm.*\.bin|.*\.alphas\.bin", "a Firefox translator", "hearth convert takes a folder with one"),
    (r"adapter_model\..*", "an adapter (LoRA)", "merge it into its base, and convert the folder that comes of it"),
    (r"model_index\.json", "a pipeline that makes pictures", "only models of text are served"),
    (r"(.*/)?.*\.onnx", "an ONNX export", "take the repository that it was made from"),
    (r"(.*/)?openvino_model\.xml", "an OpenVINO export", "take the repository that it was made from"),
    (r".*\.(tflite|task|litertlm)", "an export for LiteRT", "take the repository that it was made from"),
    (r".*\.mlpackage/.*|.*\.mlmodel", "a CoreML export", "take the repository that it was made from"),
    (r"tf_model\.h5", "a TensorFlow model", "save it with transformers as safetensors"),
    (r"flax_model\.msgpack", "a Flax model", "save it with transformers as safetensors"),
    (r".*\.(ckpt|pth|pt)", "weights without a configuration", "save them with transformers as safetensors"),
)
"""A pattern of file names, the kind that has such files, and a remedy."""


def refuse_kind(name: str, files: Collection[str], read: Callable[[str], Mapping[str, Any]]) -> None:
    """Refuse a repository of a kind that cannot be converted; the converter of a model decides the rest.

    Args:
        name: the repository's name, for the message.
        files: names of all its files, whether they are downloaded or not.
        read: returns the object in one of its JSON files; an empty object if the file does not exist.

    Raises:
        CannotConvert: the repository is of such a kind, which the message names.
    """
    if "adapter_config.json" in files:
        base = read("adapter_config.json").get("base_model_name_or_path")
        of = f" of {base}" if base else ""
        raise CannotConvert(
            f"{name} is an adapter (LoRA){of}: merge it into its base (merge_and_unload of peft), save that, and "
            "convert the folder."
        )
    config = read("config.json")
    _refuse_quantized(name, config)
    if any(_WEIGHTS.fullmatch(file) for file in files):
        return
    if "model.bin" in files and not config.get("architectures"):  # CTranslate2's own form
        return
    for pattern, what, help in _OTHER_FORMS:
        if any(re.fullmatch(pattern, file) for file in files):
            raise CannotConvert(f"{name} is {what}, which is not read here: {help}.")


def _refuse_quantized(name: str, config: Mapping[str, Any]) -> None:
    stated = config.get("quantization_config")
    if isinstance(stated, Mapping):
        method = str(stated.get("quant_method") or "a way that it does not name")
        bits = stated.get("bits") or stated.get("num_bits")
        how = f"{method}, {bits} bits" if bits else method
        raise CannotConvert(
            f"{name} is quantized already ({how}); take the repository it was made from, or a GGUF of it."
        )
    mlx = config.get("quantization")
    if isinstance(mlx, Mapping) and "bits" in mlx:
        raise CannotConvert(
            f"{name} is quantized already (MLX, {mlx['bits']} bits); take the repository it was made from, or "
            "a GGUF of it."
        )
