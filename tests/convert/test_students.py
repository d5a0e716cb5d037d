"""Firefox's students: the bytes of Marian's files in a folder that is served; a file of another kind gives one clear
sentence.
"""

import shutil
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

from models.cards import ModelCard
from models.convert import CannotConvert, Request, convert, open_path
from models.convert.source import SourceError
from models.convert.tensors.base import BadWeights, WeightFile
from models.convert.tensors.marian import read_marian
from models.registry import read_card, verify
from models.shortlist import Shortlist
from models.tables import ManifestError
from models.tokenizers import load_tokenizer
from models.vocabulary import read_target_vocabulary, read_vocabulary
from server.cli.models import convert_model
from server.engines.step.support import config, core, supports_translator
from server.settings import Settings
from tests.convert import firefox_files as firefox
from tests.convert.model_files import read_variables
from tests.engines.conftest import Sink
from tests.engines.step.numpy_student import Student

REFUSED = (BadWeights, CannotConvert, SourceError, ManifestError)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firefox.write_student(tmp_path_factory.mktemp("firefox") / "enpt")


@pytest.fixture(scope="module")
def card(files: Path) -> ModelCard:
    return made(files, files.parent / "models")


@pytest.fixture(scope="module")
def split(files: Path) -> Path:
    return firefox.write_student(files.parent / "encs", "encs", two=True)


@pytest.fixture(scope="module")
def split_card(split: Path) -> ModelCard:
    return made(split, split.parent / "models", "split")


def made(folder: Path, models: Path, name: str = "mine") -> ModelCard:
    return read_card(convert(open_path(folder), models, name, Request()))


def copy(files: Path, to: Path) -> Path:
    return Path(shutil.copytree(files, to))


def weights_of(folder: Path) -> Path:
    return next(folder.glob("model.*"))


def test_the_weights_are_the_very_bytes_of_marians_file(card: ModelCard) -> None:
    pieces = load_tokenizer(card).vocab_size
    items = firefox.student_items(pieces)
    variables, aliases = read_variables(card.path("model.bin"))

    def require(place: str, names: list[str]) -> None:
        rows = [np.asarray(items[name]) if name == "Wemb" else np.asarray(items[name]).T for name in names]
        scales = [
            np.full(len(each), firefox.multiplier(name), np.float32) for name, each in zip(names, rows, strict=True)
        ]
        assert np.array_equal(variables[f"{place}/weight"], np.concatenate(rows)), place
        assert np.array_equal(variables[f"{place}/weight_scale"], np.concatenate(scales)), place

    require("decoder/embeddings", ["Wemb"])
    assert aliases["encoder/embeddings_0/weight"] == aliases["decoder/projection/weight"] == "decoder/embeddings/weight"
    for i in range(firefox.ENCODER_LAYERS):
        self, ffn = f"encoder_l{i + 1}_self_", f"encoder_l{i + 1}_ffn_"
        require(f"encoder/layer_{i}/self_attention/linear_0", [self + "Wq", self + "Wk", self + "Wv"])
        require(f"encoder/layer_{i}/self_attention/linear_1", [self + "Wo"])
        require(f"encoder/layer_{i}/ffn/linear_0", [ffn + "W1"])
        require(f"encoder/layer_{i}/ffn/linear_1", [ffn + "W2"])
    for i in range(firefox.DECODER_LAYERS):
        rnn, context, ffn = (f"decoder_l{i + 1}_{part}_" for part in ("rnn", "context", "ffn"))
        require(f"decoder/layer_{i}/ssru/linear_0", [rnn + "W", rnn + "Wf"])
        require(f"decoder/layer_{i}/attention/linear_0", [context + "Wq"])
        require(f"decoder/layer_{i}/attention/linear_1", [context + "Wk", context + "Wv"])
        require(f"decoder/layer_{i}/attention/linear_2", [context + "Wo"])
        require(f"decoder/layer_{i}/ffn/linear_1", [ffn + "W2"])
        bias = variables[f"decoder/layer_{i}/ssru/linear_0/bias"]
        assert not bias[: firefox.WIDTH].any()
        assert np.array_equal(bias[firefox.WIDTH :], np.asarray(items[rnn + "bf"])[0])


def test_the_folder_says_what_a_server_must_know(card: ModelCard) -> None:
    verify(card)
    assert card.translation is not None
    assert (card.task, card.family, card.license) == ("translation", "marian", "MPL-2.0")
    assert (card.translation.pairs, card.translation.beam_size) == ((("en", "pt"),), 1)
    assert card.path("shortlist.bin").is_file()
    assert supports_translator(card.folder) is None


@pytest.mark.parametrize("kind", ["card", "split_card"])
def test_the_engine_computes_what_the_formulas_say_of_the_converted_weights(
    kind: str, request: pytest.FixtureRequest
) -> None:
    card: ModelCard = request.getfixturevalue(kind)
    compiled = core()
    assert compiled is not None
    tokenizer = load_tokenizer(card)
    translator = compiled.Translator(str(card.path("model.bin")), config(card.folder), "")
    student = Student.read(card.path("model.bin"), firefox.HEADS)
    for text in firefox.TEXTS:
        source = [*tokenizer.encode(text), tokenizer.id("</s>")]
        sentences = compiled.Sentences(translator)
        sentences.open(source, [], max_tokens=12, end=0, banned=[1])
        ended: list[Any] = []
        while not ended:
            ended = sentences.step()
        tokens, score, _ = ended[0][1][0]
        scored = student.score(source, [*tokens, 0] if len(tokens) < 12 else tokens)
        assert score == pytest.approx(scored.mean_logprob, abs=0.1)


def test_each_language_may_have_its_own_vocabulary(split: Path, split_card: ModelCard) -> None:
    verify(split_card)
    assert supports_translator(split_card.folder) is None
    source, target = (
        sentencepiece.SentencePieceProcessor(model_file=str(split / f"{side}vocab.encs.spm")) for side in ("src", "trg")
    )
    tokenizer = load_tokenizer(split_card)
    assert source.get_piece_size() != target.get_piece_size()
    for text in firefox.TEXTS:
        assert tokenizer.encode(text) == source.encode(text)
    for text in firefox.TARGET_TEXTS:
        pieces = target.encode(text, out_type=str)
        assert tokenizer.decode([tokenizer.id(piece) for piece in pieces]) == text
    items = firefox.student_items(source.get_piece_size(), target_pieces=target.get_piece_size())
    variables, aliases = read_variables(split_card.path("model.bin"))
    assert np.array_equal(variables["encoder/embeddings_0/weight"], items["encoder_Wemb"])
    assert np.array_equal(variables["decoder/embeddings/weight"], items["decoder_Wemb"])
    assert aliases["decoder/projection/weight"] == "decoder/embeddings/weight"


def test_a_source_is_read_by_its_own_vocabulary_and_answered_in_the_targets(split_card: ModelCard) -> None:
    """The same tokens through the engine, which takes strings, and through the core, which takes ids."""
    from server.engines.kinds import EngineSpec
    from server.engines.rows import TranslationRow
    from server.engines.step.translator import StepTranslator

    compiled = core()
    assert compiled is not None
    source, target = read_vocabulary(split_card.folder), read_target_vocabulary(split_card.folder)
    assert target is not None
    engine = StepTranslator(EngineSpec("step-translator", str(split_card.folder)))
    sentences = compiled.Sentences(compiled.Translator(str(split_card.path("model.bin")), config(split_card.folder)))
    shortlist = Shortlist.of(split_card.folder, len(source), len(target))
    assert shortlist is not None
    for n in range(6):
        ids = [*range(len(source) - 1 - n, 3, -7), 0]
        out = Sink()
        engine.run([TranslationRow([source[id] for id in ids], max_tokens=8)], out)
        sentences.open(ids, shortlist.of_source(ids), max_tokens=8, end=0, banned=[1])
        ended: list[Any] = []
        while not ended:
            ended = sentences.step()
        assert out.outcomes[0].hypotheses[0].tokens == tuple(target[id] for id in ended[0][1][0][0])
    with pytest.raises(ValueError, match="not in the vocabulary"):
        sentences.open([2], [0, len(target)], max_tokens=8, end=0)
    with pytest.raises(ValueError, match="not in the vocabulary"):
        sentences.open([len(source)], [], max_tokens=8, end=0)
    engine.close()


def test_two_vocabularies_may_share_one_table(split: Path, tmp_path: Path) -> None:
    """So is one of Mozilla's for Chinese: two vocabularies of one size, and ``Wemb``."""
    folder = copy(split, tmp_path / "any")
    vocabulary = firefox.vocabulary_file(firefox.TARGET_TEXTS, 72)
    (folder / "srcvocab.encs.spm").write_bytes(vocabulary)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=vocabulary).get_piece_size()
    firefox.write_marian(weights_of(folder), firefox.student_items(pieces))
    next(folder.glob("lex.*")).unlink()
    assert supports_translator(made(folder, tmp_path / "models").folder) is None


def test_positions_are_marians_sines_and_cosines(card: ModelCard) -> None:
    positions = read_variables(card.path("model.bin"))[0]["decoder/position_encodings/encodings"]
    half = firefox.WIDTH // 2
    for at, i in ((0, 0), (3, 5), (77, half - 1)):
        angle = at / 10000 ** (i / (half - 1))
        assert positions[at, i] == pytest.approx(np.sin(angle), abs=1e-5)
        assert positions[at, half + i] == pytest.approx(np.cos(angle), abs=1e-5)


def test_a_command_converts_a_folder_and_names_it_by_its_direction(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"quantization": "int8_float32", "context_tokens": None, "labels": (), "as_json": False}
    assert convert_model(str(files), None, "passage", settings=Settings(models_dir=tmp_path), **options) == 0
    assert (tmp_path / "firefox-en-pt" / "model.toml").is_file()
    assert "MPL-2.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("enpt", ("en", "pt")),
        ("x", None),
        ("zhen", ("zh", "en")),
        ("enhbs", ("en", "hbs")),
        ("pt-en", ("pt", "en")),
    ],
)
def test_the_direction_is_told_by_the_names(tmp_path: Path, name: str, pair: tuple[str, str] | None) -> None:
    folder = tmp_path / "any"
    folder.mkdir()
    for file in (f"model.{name}.intgemm.alphas.bin", f"vocab.{name}.spm"):
        (folder / file).touch()
    if pair is None:
        with pytest.raises(SourceError, match="does not say which languages"):
            open_path(folder)
    else:
        assert open_path(folder).config["languages"] == list(pair)


def test_the_metadata_say_the_direction_where_there_are_any(files: Path, tmp_path: Path) -> None:
    folder = copy(files, tmp_path / "any")
    (folder / "metadata.json").write_text('{"sourceLanguage": "en", "targetLanguage": "zh-Hant"}')
    assert open_path(folder).config["languages"] == ["en", "zh-Hant"]


def test_a_folder_of_another_kind_is_told_what_it_is(files: Path, tmp_path: Path) -> None:
    half = copy(files, tmp_path / "half")
    shutil.copyfile(half / "vocab.enpt.spm", half / "srcvocab.enpt.spm")
    with pytest.raises(SourceError, match="for both languages and one for a language"):
        open_path(half)
    (half / "vocab.enpt.spm").unlink()
    with pytest.raises(SourceError, match=r"no vocabulary \(trgvocab"):
        open_path(half)
    shutil.copyfile(half / "srcvocab.enpt.spm", half / "trgvocab.enpt.spm")
    assert isinstance(made(half, tmp_path / "models"), ModelCard)  # two files that are alike do no harm
    lacking = copy(files, tmp_path / "lacking")
    (lacking / "vocab.enpt.spm").unlink()
    with pytest.raises(SourceError, match="no vocabulary"):
        open_path(lacking)
    several = copy(files, tmp_path / "several")
    shutil.copyfile(weights_of(several), several / "model.pten.intgemm.alphas.bin")
    with pytest.raises(SourceError, match="several files of weights"):
        open_path(several)
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "model.enpt.intgemm.alphas.bin.gz").touch()
    with pytest.raises(CannotConvert, match="gunzip"):
        open_path(packed)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("dec-cell: ssru", "dec-cell: gru", "only students with ssru"),
        ("transformer-heads: 4", "transformer-heads: 7", "7 heads"),
        ("enc-depth: 2", "enc-depth: x", "how many layers"),
        ("enc-depth: 2", "enc-depth: 1", "does not have"),
        ("enc-depth: 2", "enc-depth: 3", "no matrix"),
        ('transformer-preprocess: ""', "transformer-preprocess: n", "transformer-preprocess"),
    ],
)
def test_a_network_of_another_kind_is_refused(files: Path, tmp_path: Path, before: str, after: str, why: str) -> None:
    folder = copy(files, tmp_path / "any")
    items = firefox.student_items(load_size(folder))
    firefox.write_marian(weights_of(folder), {**items, "special:model.yml": firefox.SETTINGS.replace(before, after)})
    with pytest.raises(CannotConvert, match=why):
        made(folder, tmp_path / "models")


@pytest.mark.parametrize(
    ("name", "shape", "why"),
    [
        ("Wemb", (40, firefox.WIDTH), "numbers and not 40"),
        ("encoder_l1_self_Wq", (firefox.WIDTH, 32), "of the shape"),
        ("decoder_l2_ffn_W2", (32, firefox.WIDTH), "of the shape"),
        ("decoder_l1_rnn_Wf", (32, 32), "of the shape"),
    ],
)
def test_a_matrix_of_another_shape_is_refused(
    files: Path, tmp_path: Path, name: str, shape: tuple[int, int], why: str
) -> None:
    folder = copy(files, tmp_path / "any")
    items = firefox.student_items(load_size(folder))
    firefox.write_marian(weights_of(folder), {**items, name: np.zeros(shape, np.int8)})
    with pytest.raises(CannotConvert, match=why):
        made(folder, tmp_path / "models")


def test_float32_is_refused_since_the_weights_are_int8(files: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotConvert, match="int8 already"):
        convert(open_path(files), tmp_path, "mine", Request(quantization="float32"))


@pytest.mark.parametrize("kind", ["files", "split"])
def test_a_damaged_file_is_refused_in_one_sentence_and_nothing_is_left(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each file of a folder with bytes changed, mostly in its head, or its end cut off."""
    random = np.random.default_rng(7)
    models = tmp_path / "models"
    refused = 0
    for n in range(240):
        folder = tmp_path / "any"
        copy(request.getfixturevalue(kind), folder)
        each = sorted(folder.iterdir())
        file = each[n % len(each)]
        data = bytearray(file.read_bytes())
        head = 6000 if file.suffix == ".bin" else 600
        for at in random.integers(0, min(len(data), head), int(random.integers(1, 4))):
            data[at] = int(random.integers(0, 256))
        file.write_bytes(data[: int(random.integers(0, len(data)))] if n % 5 == 0 else data)
        try:
            made(folder, models, f"m{n}")
        except REFUSED:
            refused += 1
            assert not (models / f"m{n}").exists()
        shutil.rmtree(folder)
    assert refused > 80


@pytest.mark.parametrize(
    ("offset", "value", "why"),
    [
        (0, 2, "version 2"),
        (8, 1 << 40, "items"),
        (16, 0, "a name"),
        (16, 1 << 60, "a name"),
        (32, 9, "9 dimensions"),
        (40, 1 << 62, "cut off"),
    ],
)
def test_sizes_that_lie_are_refused(files: Path, tmp_path: Path, offset: int, value: int, why: str) -> None:
    folder = copy(files, tmp_path / "any")
    data = bytearray(weights_of(folder).read_bytes())
    struct.pack_into("<Q", data, offset, value)
    weights_of(folder).write_bytes(data)
    with closing(WeightFile(weights_of(folder))) as file, pytest.raises(BadWeights, match=why):
        read_marian(file)


def load_size(folder: Path) -> int:
    vocabulary = str(next(folder.glob("vocab.*")))
    return int(sentencepiece.SentencePieceProcessor(model_file=vocabulary).get_piece_size())
