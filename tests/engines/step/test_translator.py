"""Encoder-decoders on the step engine: each sentence is decoded by its own options, and as if it were alone."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.shortlist import FILE, HEADER, MAGIC, Shortlist
from server.engines.kinds import EngineSpec
from server.engines.rows import Translated, TranslationRow
from server.engines.step.support import supports_translator
from server.errors import EngineFailed
from tests.engines.step import tiny_translators as tiny
from tests.engines.step.numpy_student import Student

WEIGHTS = Path(__file__).parents[3] / "models" / "weights" / "translate"
KINDS = {
    "norms before": {"pre_norm": True},
    "norms behind": {"pre_norm": False},
    "recurrent": {"pre_norm": False, "recurrent": True},
}
EngineOf = Callable[..., Any]
SENTENCES = (
    "Where is the nearest pharmacy?",
    "I would like a glass of water, please.",
    "The train leaves at half past nine.",
    "My sister lives in a small town near the sea.",
    "Could you close the window?",
    "We have known each other for years.",
    "He forgot his keys on the kitchen table.",
    "The children are playing in the garden.",
    "It has been raining all day.",
    "She wants to become a doctor.",
    "How much does this jacket cost?",
    "I do not understand what you mean.",
    "The museum is closed on Mondays.",
    "They bought a house last summer.",
    "Please call me back this evening.",
    "The soup is too salty.",
    "My phone is not working.",
    "The teacher explained the lesson twice.",
    "I am looking for my glasses.",
    "There is a bird on the roof.",
    "We should leave before it gets dark.",
    "Her brother works in a bank.",
    "The film was better than the book.",
    "Do you have any brothers or sisters?",
    "The bread is still warm.",
    "I will never forget that day.",
    "She speaks three languages.",
    "The door was open when I came home.",
)


@pytest.fixture(scope="module")
def folders(compiled: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("translators")
    return {name: tiny.write(root / str(i), **options) for i, (name, options) in enumerate(KINDS.items())}


@pytest.fixture
def engine_of(folders: dict[str, Path]) -> Iterator[EngineOf]:
    made: list[Any] = []

    def make(kind: str = "norms before", folder: Path | None = None, **options: Any) -> Any:
        from server.engines.step.translator import StepTranslator

        spec = EngineSpec("step-translator", str(folder or folders[kind]), options=options)
        made.append(StepTranslator(spec))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def row(n: int, **options: Any) -> TranslationRow:
    random = np.random.default_rng(n)
    source = [f"t{i}" for i in random.integers(0, tiny.VOCABULARY - 3, 2 + 7 * n % 40)]
    return TranslationRow(source, **{"max_tokens": 5 + 3 * n % 30, **options})


def varied(count: int) -> list[TranslationRow]:
    """Rows of different lengths, beams and options."""
    rows = []
    for n in range(count):
        beam = 1 + n % 4
        repeats = {"repetition_penalty": 1.3, "no_repeat_ngram": 2} if n % 3 == 0 else {}
        prefix = ("t4", "t5") if n % 5 == 0 else ()
        rows.append(
            row(n, beam_size=beam, hypotheses=1 + n % beam, alignment=n % 2 == 0, target_prefix=prefix, **repeats)
        )
    return rows


def run(engine: Any, rows: Sequence[TranslationRow], out: Any) -> Any:
    engine.run(rows, out)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_is_bitwise_the_same_alone_in_a_batch_and_after_joining(
    compiled: Any, engine_of: EngineOf, sink: Any, kind: str
) -> None:
    rows = varied(12)
    for instruction_set in compiled.instruction_sets():
        engine = engine_of(kind, instruction_set=instruction_set)
        alone = [run(engine, [each], sink()).outcomes[0] for each in rows]
        together = run(engine, rows, sink())
        joined = run(engine, rows[:2], sink(join=rows[2:]))
        assert [together.outcomes[i] for i in range(12)] == alone
        assert [joined.outcomes[i] for i in range(12)] == alone


@pytest.mark.parametrize("shortlist", [(), tuple(range(0, tiny.VOCABULARY, 2))])
def test_a_student_computes_what_its_formulas_say(
    compiled: Any, engine_of: EngineOf, folders: dict[str, Path], sink: Any, shortlist: tuple[int, ...]
) -> None:
    engine = engine_of("recurrent")
    student = Student.read(folders["recurrent"] / "model.bin", tiny.HEADS)
    for n in range(8):
        asked = row(n, max_tokens=20)
        ids = [tiny.TOKENS.index(token) for token in asked.source]
        sentences = compiled.Sentences(engine._translator)
        sentences.open(ids, list(shortlist), max_tokens=20, end=0, banned=[1], alignment=True)
        ended: list[Any] = []
        while not ended:
            ended = sentences.step()
        made, score, alignment = ended[0][1][0]
        # Along the engine's own tokens: int8 may prefer another where two are nearly alike.
        path = [*made, 0] if len(made) < 20 else made
        expected = student.score(ids, path, shortlist)
        assert score == pytest.approx(expected.mean_logprob, abs=0.2)  # random logits are large
        assert max(expected.behind) < 0.5
        for place, weights in zip(alignment, expected.attention, strict=False):
            assert weights[place] > 0.6 * weights.max()  # keys of the source are int8


def test_ordinary_translators_say_what_ctranslate2_says(engine_of: EngineOf, sink: Any) -> None:
    """On trained weights and text; in int8 the two round differently, so that a word in ten sentences differs."""
    from models.registry import load_family, read_card
    from models.tokenizers import load_tokenizer

    card = read_card(WEIGHTS)
    assert card.translation is not None
    tokenizer, family = load_tokenizer(card), load_family(card)
    rows = [
        TranslationRow(
            family.source_row(card.translation, tokenizer.tokens(tokenizer.encode(text)), "en", target),
            max_tokens=64,
            beam_size=beam,
        )
        for i, text in enumerate(SENTENCES)
        for target, beam in ((("de", "fr", "es")[i % 3], 1 + 2 * (i % 2)),)
    ]
    ours = run(engine_of(folder=WEIGHTS), rows, sink()).outcomes
    theirs = EngineSpec("ct2-translator", str(WEIGHTS)).build()
    same, difference = 0, []
    for i, each in enumerate(rows):
        reference = run(theirs, [each], sink()).outcomes[0].hypotheses[0]
        made = ours[i].hypotheses[0]
        same += made.tokens == reference.tokens
        difference.append(made.mean_logprob - reference.mean_logprob)
    theirs.close()
    assert same >= 0.8 * len(rows)
    assert abs(float(np.mean(difference))) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_hypotheses_are_different_and_the_likeliest_comes_first(engine_of: EngineOf, sink: Any, kind: str) -> None:
    engine = engine_of(kind)
    for n in range(6):
        best = run(engine, [row(n, beam_size=4, hypotheses=4)], sink()).outcomes[0].hypotheses
        assert len({each.tokens for each in best}) == len(best) == 4
        assert [each.mean_logprob for each in best] == sorted((each.mean_logprob for each in best), reverse=True)


def test_options_are_kept(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of("recurrent")
    rows = [row(n, max_tokens=25, beam_size=2, no_repeat_ngram=2, alignment=True) for n in range(8)]
    for asked, outcome in zip(rows, run(engine, rows, sink()).outcomes.items(), strict=True):
        made = outcome[1].hypotheses[0]
        pairs = list(zip(made.tokens, made.tokens[1:], strict=False))
        assert len(pairs) == len(set(pairs))
        assert len(made.tokens) <= 25
        assert "u" not in made.tokens
        assert len(made.alignment) == len(made.tokens)
        assert set(made.alignment) <= set(range(len(asked.source)))


def test_a_translation_begins_with_its_prefix_and_does_not_repeat_it(engine_of: EngineOf, sink: Any) -> None:
    engine = engine_of("norms behind")
    free = run(engine, [row(3)], sink()).outcomes[0].hypotheses[0]
    forced = run(engine, [row(3, target_prefix=free.tokens[:3])], sink()).outcomes[0].hypotheses[0]
    assert forced.tokens[: len(free.tokens) - 3] == free.tokens[3:]


def test_a_dropped_sentence_leaves_and_the_others_end(engine_of: EngineOf, sink: Any) -> None:
    from server.engines.base import Turn

    class Dropping(sink):  # type: ignore[misc]
        def step(self, room: Any = None) -> Any:
            self.steps += 1
            return Turn(dropped=[0] if self.steps == 2 else [])

    out = run(engine_of("recurrent"), [row(1, max_tokens=60), row(2, max_tokens=9)], Dropping())
    assert list(out.outcomes) == [1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": ["t1"] * 65},
        {"source": []},
        {"max_tokens": 65},
        {"hypotheses": 2},
        {"target_prefix": ["nowhere"]},
    ],
)
def test_a_row_that_the_core_refuses_fails_alone(engine_of: EngineOf, sink: Any, wrong: dict[str, Any]) -> None:
    bad = TranslationRow(**{"source": ["t1"], "max_tokens": 5, **wrong})
    out = run(engine_of(), [bad, row(1)], sink())
    assert isinstance(out.outcomes[0], EngineFailed)
    assert isinstance(out.outcomes[1], Translated)


def test_why_a_folder_is_not_served(tmp_path: Path, folders: dict[str, Path]) -> None:
    assert supports_translator(folders["recurrent"]) is None
    config = (folders["norms before"] / "config.json").read_text()
    for name in ("model.bin", "shared_vocabulary.json"):
        (tmp_path / name).symlink_to(folders["norms before"] / name)
    (tmp_path / "config.json").write_text(config.replace('"s"', '"nowhere"'))
    assert "decoder_start_token" in (supports_translator(tmp_path) or "")
    assert "not an encoder-decoder" in (supports_translator(WEIGHTS.with_name("assistant")) or "")


def test_damage_is_an_error_or_a_model(compiled: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    sound = (folders["recurrent"] / "model.bin").read_bytes()
    file = tmp_path / "model.bin"
    random = np.random.default_rng(1)
    errors = 0
    marks = [i for i in range(len(sound)) if sound.startswith((b"decoder/", b"encoder/"), i)]
    for n in range(300):
        data = bytearray(sound if n % 5 else sound[: int(random.integers(0, len(sound)))])
        for _ in range(int(random.integers(1, 4))):
            at = int(random.choice(marks)) + int(random.integers(-2, 80))
            if at < len(data):
                data[at] = int(random.integers(0, 256))
        file.write_bytes(data)
        try:
            translator = compiled.Translator(str(file), compiled.Config())
            sentences = compiled.Sentences(translator)
            sentences.open([2, 3, 4], max_tokens=3, end=0)
        except ValueError:
            errors += 1
            continue
        sentences.step()
    assert errors > 150


def binary(
    always: int = 1, offsets: Sequence[int] = (0, 1, 3), tokens: Sequence[int] = (1, 0, 1), **wrong: int
) -> bytes:
    head = {"magic": MAGIC, "count": len(offsets), "tokens": len(tokens), **wrong}
    body = np.array(offsets, "<u8").tobytes() + np.array(tokens, "<u4").tobytes()
    return HEADER.pack(head["magic"], 0, always, 1, head["count"], head["tokens"]) + body


def test_a_shortlist_has_what_always_comes_what_the_source_brings_and_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(binary(1, (0, 1, 3, 3, 3, 3), (5, 2, 3)))
    shortlist = Shortlist.of(tmp_path, 5, 6)
    assert shortlist is not None
    assert shortlist.of_source([0]) == [0, 5]
    assert shortlist.of_source([1, 1, 2]) == [0, 2, 3]
    assert shortlist.of_source([2], [1]) == [0, 1]
    assert Shortlist.of(tmp_path / "elsewhere", 5, 6) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cut off"),
        (binary(magic=1), "no binary shortlist"),
        (binary(always=9), "other vocabularies"),
        (binary(offsets=(0, 1)), "other vocabularies"),
        (binary(tokens=(1, 0, 1), count=2**60), "other vocabularies"),
        (binary(tokens=(1, 0, 1))[:-1], "another length"),
        (binary(offsets=(0, 4, 3)), "not in order"),
        (binary(offsets=(0, 1, 2)), "not in order"),
        (binary(tokens=(1, 0, 7)), "not in the vocabulary"),
    ],
)
def test_a_damaged_shortlist_is_refused_with_the_reason(tmp_path: Path, data: bytes, says: str) -> None:
    from models.tables import ManifestError

    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(ManifestError, match=says):
        Shortlist.of(tmp_path, 2, 2)
