"""A refusal names the kind of a repository that cannot be converted, before any weights are downloaded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils import close_session, disable_progress_bars

from models.convert import CannotConvert, open_path
from models.convert.hub import CannotFetch, Wanted, download, gguf_names, wanted_of
from models.convert.short_names import SHORT_NAMES, folder_name
from models.convert.source import Source, SourceError
from models.convert.table import converter_for, needed
from server.cli import main
from tests.convert.hub import Hub, open_hub
from tests.convert.weight_files import write_llama, write_llama_gguf

ID = "makers/tiny"
WEIGHTS = bytes(range(256)) * 200
SAFE = {"model.safetensors": WEIGHTS}
LLAMA = {"architectures": ["LlamaForCausalLM"]}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "adapter": (
        {"adapter_config.json": {"base_model_name_or_path": "makers/base"}, "adapter_model.safetensors": WEIGHTS},
        r"is an adapter \(LoRA\) of makers/base: merge it",
    ),
    "gptq": (
        {"config.json": LLAMA | {"quantization_config": {"quant_method": "gptq", "bits": 4}}, **SAFE},
        r"is quantized already \(gptq, 4 bits\); take the repository it was made from, or a GGUF",
    ),
    "fp8": (
        {"config.json": LLAMA | {"quantization_config": {"quant_method": "fp8"}}, "model.safetensors": WEIGHTS},
        r"is quantized already \(fp8\)",
    ),
    "mlx": (
        {"config.json": LLAMA | {"quantization": {"group_size": 64, "bits": 4}}, "model.safetensors": WEIGHTS},
        r"is quantized already \(MLX, 4 bits\)",
    ),
    "onnx": ({"config.json": LLAMA, "onnx/model_q4.onnx": WEIGHTS}, "is an ONNX export, which is not read here: take"),
    "openvino": ({"config.json": LLAMA, "openvino_model.xml": WEIGHTS}, "is an OpenVINO export"),
    "tensorflow": ({"config.json": LLAMA, "tf_model.h5": WEIGHTS}, "is a TensorFlow model"),
    "pictures": ({"model_index.json": {}, "unet/x.safetensors": WEIGHTS}, "is a pipeline that makes pictures"),
    "argos": ({"translate-en_de.argosmodel": WEIGHTS}, "is an Argos package"),
    "firefox": ({"model.ende.intgemm.alphas.bin.gz": WEIGHTS}, "is a Firefox translator that is packed"),
    "unknown": ({"config.json": {"architectures": ["MambaForCausalLM"]}, **SAFE}, "is a MambaForCausalLM"),
    "embedder by its use": (
        {"config.json": LLAMA, "README.md": "---\npipeline_tag: feature-extraction\n---\n", **SAFE},
        "embeds texts: it is a decoder, and has no modules.json",
    ),
    "reranker": (
        {"config.json": LLAMA, "README.md": "---\npipeline_tag: text-ranking\n---\n", "model.safetensors": WEIGHTS},
        "ranks texts by the answer of a decoder, which has no API here. Rerankers of BERT's",
    ),
    "modernbert": ({"config.json": {"architectures": ["ModernBertModel"]}, **SAFE}, "is ModernBERT: two of three"),
    "embeddinggemma": ({"config.json": {"architectures": ["Gemma3TextModel"]}, **SAFE}, "is EmbeddingGemma"),
    "deberta": ({"config.json": {"architectures": ["DebertaV2ForSequenceClassification"]}, **SAFE}, "is DeBERTa: its"),
    "albert": ({"config.json": {"architectures": ["AlbertModel"]}, **SAFE}, "is ALBERT: its embeddings are narrower"),
    "answers": ({"config.json": {"architectures": ["BertForQuestionAnswering"]}, **SAFE}, "finds answers in a text"),
    "mbart": ({"config.json": {"architectures": ["MBartForConditionalGeneration"]}, **SAFE}, "NLLB and OPUS-MT"),
    "small100": (
        {
            "config.json": {"architectures": ["M2M100ForConditionalGeneration"]},
            "tokenizer_config.json": {"tokenizer_class": "SMALL100Tokenizer"},
            "pytorch_model.bin": WEIGHTS,
        },
        "would translate into wrong languages",
    ),
    "positions": (
        {"config.json": {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "model.safetensors": WEIGHTS},
        "Positions are scaled by 'dynamic'; computed here: linear, llama3, yarn, longrope",
    ),
    "norms": (
        {
            "config.json": {"architectures": ["OPTForCausalLM"], "do_layer_norm_before": False},
            "pytorch_model.bin": WEIGHTS,
        },
        "do_layer_norm_before = False, which no engine here computes",
    ),
}  # fmt: skip
"""Files of repositories, and what is said of them."""


def contents(files: dict[str, Any]) -> dict[str, bytes]:
    return {
        name: value
        if isinstance(value, bytes)
        else value.encode()
        if isinstance(value, str)
        else json.dumps(value).encode()
        for name, value in files.items()
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    disable_progress_bars()
    with open_hub() as hub:
        yield hub
        close_session()


def pull(hub: Hub, cache: Path, **options: Any) -> Source:
    return download(ID, endpoint=hub.url, cache=cache, accept=lambda source: converter_for(source) and None, **options)


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_by_what_it_is_and_no_weights_are_downloaded(hub: Hub, tmp_path: Path, kind: str) -> None:
    files, why = REFUSED[kind]
    hub.add(ID, contents(files))
    with pytest.raises(CannotConvert, match=why):
        pull(hub, tmp_path)
    assert [path for _, path, _ in hub.requests if "/storage/" in path] == []


@pytest.mark.parametrize("kind", REFUSED)
def test_a_folder_is_refused_in_the_same_words(tmp_path: Path, kind: str) -> None:
    files, why = REFUSED[kind]
    for name, content in contents(files).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CannotConvert, match=why):
        converter_for(open_path(tmp_path))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a/b", Wanted("a/b")),
        ("a/b:Q4_K_M", Wanted("a/b", None, "Q4_K_M")),
        ("hf.co/a/b:Q8_0", Wanted("a/b", None, "Q8_0")),
        ("https://huggingface.co/a/b", Wanted("a/b")),
        ("https://huggingface.co/a/b/tree/v2", Wanted("a/b", "v2")),
        ("https://huggingface.co/a/b/resolve/main/x/b-Q4_0.gguf", Wanted("a/b", "main", "x/b-Q4_0.gguf")),
    ],
)
def test_names_are_read_as_people_type_them(text: str, wanted: Wanted) -> None:
    assert wanted_of(text) == wanted


def test_an_address_of_something_else_is_refused() -> None:
    with pytest.raises(CannotFetch, match="no address of a hub that is known here"):
        wanted_of("https://example.org/a/b")


GGUFS = ["b-Q4_K_M.gguf", "b-Q8_0.gguf", "b.f16.gguf", "mmproj-b-Q8_0.gguf", "big/b-F32-00001-of-00002.gguf",
         "big/b-F32-00002-of-00002.gguf", "README.md"]  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        (None, ["b-Q8_0.gguf"]),
        ("q4_k_m", ["b-Q4_K_M.gguf"]),
        ("F16", ["b.f16.gguf"]),
        ("b-Q8_0.gguf", ["b-Q8_0.gguf"]),
        ("F32", ["big/b-F32-00001-of-00002.gguf", "big/b-F32-00002-of-00002.gguf"]),
    ],
)
def test_one_of_several_ggufs_is_meant(tag: str | None, names: list[str]) -> None:
    assert gguf_names(ID, GGUFS, tag) == names


def test_a_tag_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(SourceError, match=r"no GGUF of Q5; there are: b-F32-00001-of-00002\.gguf, b-Q4_K_M\.gguf"):
        gguf_names(ID, GGUFS, "Q5")
    with pytest.raises(SourceError, match="several GGUF files; name one"):
        gguf_names(ID, ["a.gguf", "b.gguf"], None)


def test_of_a_repository_of_ggufs_one_is_downloaded(hub: Hub, tmp_path: Path) -> None:
    write_llama_gguf(tmp_path / "b-Q4_0.gguf", general__license="mit")
    write_llama_gguf(tmp_path / "b-Q8_0.gguf", general__license="apache-2.0")
    sha = hub.add_folder(ID, tmp_path)
    for tag, licence in (("Q4_0", "mit"), (None, "apache-2.0")):
        hub.requests.clear()
        source = pull(hub, tmp_path / "cache", tag=tag)
        assert (source.repository, source.revision, source.license) == (ID, sha, licence)
        assert len([path for how, path, _ in hub.requests if how == "GET" and "/storage/" in path]) == 1
    hub.requests.clear()
    assert pull(hub, tmp_path / "cache", offline=True).license == "apache-2.0"
    assert hub.requests == []


def test_a_gguf_of_an_unknown_architecture_is_not_downloaded(hub: Hub, tmp_path: Path) -> None:
    hub.add(ID, {"b-Q8_0.gguf": WEIGHTS})
    hub.repositories[ID].gguf = "mamba"
    with pytest.raises(CannotConvert, match="a model of the architecture 'mamba'; known here"):
        pull(hub, tmp_path)
    assert [path for _, path, _ in hub.requests if "/storage/" in path] == []


def test_short_names_are_of_models_that_are_converted_and_say_their_licence() -> None:
    for name, short in SHORT_NAMES.items():
        assert name == name.lower()
        assert short.repository.count("/") == 1
        assert short.license
        assert ":" not in folder_name(name)


def test_decoders_need_nothing_beside_the_server(tmp_path: Path) -> None:
    source = open_path(write_llama(tmp_path / "hub"))
    assert needed(source, "passage") == needed(source, "structure") == ()
    assert "torch" in needed(source, "original")


@pytest.mark.parametrize("suffix", ["gguf", "zip"])
def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(b"GGUX" + bytes(40))
    arguments = ["--models-dir", str(tmp_path / "models")]
    assert main(["convert", str(tmp_path / f"a.{suffix}"), *arguments]) == 1
    assert "is no GGUF file, and no folder with a model" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "missing.gguf"), *arguments]) == 1
    assert "missing.gguf" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
