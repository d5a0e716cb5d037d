"""What a repository is when it is nothing that can be converted, told from its files' names and its configuration.

Asked before weights are downloaded: a refusal names the thing, and what would help.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from models.convert.contract import CannotConvert

_WEIGHTS = re.compile(r"(model.*\.safetensors|pytorch_model.*\.bin|.*\.gguf|model\.safetensors\.index\.json)")
_OTHER_FORMS = (
    (r".*\.argosmodel", "an Argos package", "hearth pull takes OPUS-MT, M2M100 and NLLB repositories"),
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
"""A pattern of names, what has such files, and what helps."""


def refuse_kind(name: str, files: Collection[str], read: Callable[[str], Mapping[str, Any]]) -> None:
    """Refuse what is no model that could be converted. What is one is left to its converter.

    Args:
        name: of the repository, for the message.
        files: names of all its files, whether they are downloaded or not.
        read: gives the object of one of its JSON files; nothing where it has no such file.

    Raises:
        CannotConvert: it is none; the message says what it is.
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
