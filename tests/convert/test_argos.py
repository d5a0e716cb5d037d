"""Argos Translate's packages: a served translation is the one that Argos Translate's own calls make."""

import json
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import ctranslate2
import httpx
import numpy as np
import pytest
import sentencepiece
from ctranslate2.specs import TransformerSpec

from models.convert import CannotConvert, Mismatch, Request, convert, open_path
from models.convert.argos import BEAM_SIZE
from models.convert.source import SourceError
from models.registry import load_family, read_card
from models.tokenizers import load_tokenizer
from server.engines.step.support import supports_translator
from tests.convert.translator_repositories import sentencepiece_model
from tests.server_process import serving

CONTROL = ("<blank>", "<unk>", "<s>", "</s>", "__de__")
STRUCTURE = Request(quantization="float32", check="structure")
TEXTS = ["The harbour was quiet when the ferry came in.", "Two men were mending nets on the quay."]
META: dict[str, Any] = {"package_version": "1.9", "argos_version": "1.5", "from_code": "en", "to_code": "de"}


def write_package(folder: Path, *, quantization: str | None = None, split: bool = False, **meta: Any) -> Path:
    """An installed package with random weights, as OpenNMT-py's converter writes them."""
    folder.mkdir(parents=True)
    pieces = sentencepiece_model(folder / "sentencepiece.model", 300)
    vocabulary = [*CONTROL[:4], *(piece for piece in pieces if piece not in CONTROL)]
    if meta.get("target_prefix"):
        vocabulary.append(meta["target_prefix"])
    spec = TransformerSpec.from_config(num_layers=2, num_heads=2)
    rng = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = 1 + draw(32), draw(32)

    def linear(layer: Any, out: int, into: int) -> None:
        layer.weight, layer.bias = draw(out, into), draw(out)

    for side in (spec.encoder, spec.decoder):
        tables = side.embeddings if isinstance(side.embeddings, list) else [side.embeddings]
        tables[0].weight = draw(len(vocabulary), 32)
        norm(side.layer_norm)
        for layer in side.layer:
            linear(layer.self_attention.linear[0], 96, 32)
            linear(layer.self_attention.linear[1], 32, 32)
            norm(layer.self_attention.layer_norm)
            if side is spec.decoder:
                linear(layer.attention.linear[0], 32, 32)
                linear(layer.attention.linear[1], 64, 32)
                linear(layer.attention.linear[2], 32, 32)
                norm(layer.attention.layer_norm)
            linear(layer.ffn.linear_0, 64, 32)
            linear(layer.ffn.linear_1, 32, 64)
            norm(layer.ffn.layer_norm)
        side.position_encodings.encodings = 0.1 * draw(600, 32)
    linear(spec.decoder.projection, len(vocabulary), 32)
    if split:
        spec.register_source_vocabulary(vocabulary)
        spec.register_target_vocabulary(list(reversed(vocabulary)))
    else:
        spec.register_source_vocabulary(vocabulary)
        spec.register_target_vocabulary(vocabulary)
    spec.validate()
    spec.optimize(quantization=quantization)
    (folder / "model").mkdir()
    spec.save(str(folder / "model"))
    (folder / "stanza").mkdir()
    (folder / "stanza" / "en.pt").write_bytes(b"not read")
    (folder / "metadata.json").write_text(json.dumps({**META, **meta}))
    (folder / "README.md").write_text("# English to German\n")
    return folder


def zipped(folder: Path) -> Path:
    """The package as Argos' index has it: an archive of one folder."""
    made = folder.with_suffix(".argosmodel")
    with zipfile.ZipFile(made, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"translate-en_de-1_9/{file.relative_to(folder).as_posix()}")
    return made


def translated(folder: Path, row: list[str], prefix: list[str]) -> list[str]:
    """The tokens of CTranslate2's translation, found as Argos Translate finds them."""
    translator = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
    found = translator.translate_batch(
        [row], target_prefix=[prefix] if prefix else None, beam_size=BEAM_SIZE, max_decoding_length=24
    )
    return list(found[0].hypotheses[0])


@pytest.mark.parametrize("form", ["shared", "split", "prefix", "int8", "version 5"])
def test_a_package_translates_as_argos_translate_does(tmp_path: Path, form: str) -> None:
    meta = {"target_prefix": "__de__"} if form == "prefix" else {}
    folder = write_package(
        tmp_path / "argos", split=form == "split", quantization="int8" if form == "int8" else None, **meta
    )
    if form == "version 5":
        weights = folder / "model" / "model.bin"
        weights.write_bytes(struct.pack("<I", 5) + weights.read_bytes()[4:])
    card = read_card(convert(open_path(zipped(folder)), tmp_path / "models", "exact", STRUCTURE))
    section, family, tokenizer = card.translation, load_family(card), load_tokenizer(card)
    assert section is not None
    assert section.pairs == (("en", "de"),)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
    for text in TEXTS:
        row = family.source_row(section, tokenizer.tokens(tokenizer.encode(text)), "en", "de")
        made = translated(card.folder, row, family.target_prefix(section, "de"))
        wanted = translated(folder / "model", theirs.encode(text, out_type=str), ["__de__"] if meta else [])
        assert made == wanted
        assert made
        words = [each for each in made if each not in CONTROL]
        assert tokenizer.decode([tokenizer.id(token) for token in words]).strip() == theirs.decode_pieces(words).strip()


def test_an_installed_package_is_served_by_our_engine(package: Path, tmp_path: Path) -> None:
    card = read_card(convert(open_path(package), tmp_path / "models", "argos", Request(check="structure")))
    assert supports_translator(card.folder) is None
    assert not (card.folder / "stanza").exists()
    with serving(models_dir=tmp_path / "models") as served:
        asked = {"input": TEXTS, "source": "en", "target": "de"}
        answer = httpx.post(f"{served.url}/v1/translations", json=asked, timeout=60).json()
    assert answer["model"] == "argos"
    assert all(each["text"] for each in answer["data"])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("argos") / "package")


def test_random_weights_do_not_pass_for_a_translator(package: Path, tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="perplexity of right translations"):
        convert(open_path(package), tmp_path, "mine", Request())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "metadata.json").write_text("{}"), "names no two languages"),
        (lambda f: (f / "metadata.json").write_text("["), "cannot be read"),
        (lambda f: (f / "metadata.json").write_text(json.dumps({**META, "type": "sbd"})), "of the type 'sbd'"),
        (lambda f: (f / "sentencepiece.model").rename(f / "bpe.model"), "BPE vocabulary"),
        (lambda f: (f / "sentencepiece.model").unlink(), "has no sentencepiece.model"),
        (lambda f: (f / "model" / "shared_vocabulary.json").unlink(), "has no vocabulary"),
        (lambda f: (f / "model" / "shared_vocabulary.json").write_text("[1]"), "is no list of tokens"),
        (lambda f: (f / "model" / "model.bin").write_bytes(b"\x06\0\0\0"), "cut off"),
        (lambda f: (f / "metadata.json").write_text(json.dumps({**META, "target_prefix": "__xx__"})), "no token"),
    ],
)
def test_what_is_no_whole_package_is_refused(package: Path, tmp_path: Path, damage: Any, says: str) -> None:
    folder = shutil.copytree(package, tmp_path / "package")
    damage(folder)
    with pytest.raises((CannotConvert, SourceError), match=says):
        convert(open_path(folder), tmp_path / "models", "mine", STRUCTURE)
    assert not list((tmp_path / "models").glob("*"))


def test_a_damaged_archive_is_refused_and_nothing_leaves_its_folder(package: Path, tmp_path: Path) -> None:
    archive = zipped(shutil.copytree(package, tmp_path / "package"))
    raw = archive.read_bytes()
    outside = tmp_path / "outside.argosmodel"
    with zipfile.ZipFile(outside, "w") as made:
        made.writestr("a/metadata.json", json.dumps(META))
        made.writestr("a/../../../escaped", "x")
        made.writestr("a/model/../../escaped", "x")
    hostile = [raw[: len(raw) // 2], b"", raw.replace(b"shared_vocabulary", b"shared_vocabulari")]
    for content in hostile:
        archive.write_bytes(content)
        with pytest.raises((CannotConvert, SourceError)):
            convert(open_path(archive), tmp_path / "models", "mine", STRUCTURE)
    with pytest.raises((CannotConvert, SourceError)):
        convert(open_path(outside), tmp_path / "models", "mine", STRUCTURE)
    assert not list(tmp_path.rglob("escaped"))
    assert not list((tmp_path / "models").glob("*"))
