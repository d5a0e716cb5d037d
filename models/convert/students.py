"""Converts Mozilla's students (the translators in Firefox): Marian's files become a folder for the step engine.

The weights keep their bytes: int8 with one multiplier for a matrix equals int8 with one scale for each row, all scales
alike.
"""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from models.cards import TokenizerSpec, TranslationSpec
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.known_students import known_figures
from models.convert.model_bin import write_model
from models.convert.source import Source
from models.convert.student_files import student_files
from models.convert.student_weights import sizes_of, variables_of
from models.convert.tensors.base import BadWeights, WeightFile
from models.convert.tensors.marian import read_marian
from models.shortlist import FILE as SHORTLIST
from models.shortlist import Shortlist
from models.vocabulary import SHARED, SOURCE, TARGET

POSITIONS = 512
"""The most tokens of a translation."""
CONTEXT_TOKENS = 256
"""The most tokens of an input. The students were trained on sentences; the server splits longer texts."""
BEAM_SIZE = 1
"""Mozilla made the students for greedy decoding, and the published figures are greedy."""
TARGET_RATIO = 2.5
"""``max-length-factor`` of Mozilla's own settings."""
END, UNKNOWN = "</s>", "<unk>"
SPECIFICATION, REVISION = "TransformerSpec", 7
EPSILON = 1e-6
VOCABULARY, VOCABULARIES = "vocab.spm", ("srcvocab.spm", "trgvocab.spm")


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if request.quantization == "float32":
        raise CannotConvert(f"{source.repository} is int8 already: in float32 it would only be larger.")
    files = student_files(source)
    request.report(f"converting {source.repository}")
    pieces = [_pieces(file) for file in files.vocabularies]
    opened = WeightFile(files.weights)
    try:
        student = read_marian(opened)
        sizes = sizes_of(student)
        variables = variables_of(student, sizes, POSITIONS)
        for table, known in zip(sizes.tables, (pieces[0], pieces[-1]), strict=True):
            if (rows := student.matrices[table].shape[0]) != len(known):
                raise CannotConvert(f"The vocabulary has {len(known)} pieces, and the model {rows} embeddings.")
        write_model(folder / "model.bin", SPECIFICATION, REVISION, variables, request.quantization)
        shapes = [each.shape for held in (student.matrices, student.vectors) for each in held.values()]
    finally:
        opened.close()
    _write_facts(folder, pieces)
    names = [VOCABULARY] if len(pieces) == 1 else list(VOCABULARIES)
    for file, name in zip(files.vocabularies, names, strict=True):
        shutil.copyfile(file, folder / name)
    if files.shortlist is not None:
        Shortlist.read(files.shortlist, len(pieces[0]), len(pieces[-1]))
        shutil.copyfile(files.shortlist, folder / SHORTLIST)
    pair = (files.source, files.target)
    return Converted(
        task="translation",
        family="marian",
        context_length_tokens=request.context_of(CONTEXT_TOKENS),
        parameters=sum(map(math.prod, shapes)),
        tokenizer=TokenizerSpec("sentencepiece" if len(names) == 1 else "sentencepiece-vocabulary", *names),
        figures=known_figures(files.weights),
        translation=TranslationSpec(
            languages=pair,
            target_token="",
            beam_size=BEAM_SIZE,
            max_target_ratio=TARGET_RATIO,
            pairs=(pair,),
            max_target_tokens=POSITIONS - 2,
        ),
    )


def _pieces(file: Path) -> list[str]:
    """The pieces of a vocabulary, by id.

    Raises:
        BadWeights: it is damaged.
        CannotConvert: the vocabulary lacks the end token or the unknown token.
    """
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(file))
        pieces = [str(model.id_to_piece(id)) for id in range(model.get_piece_size())]
    except (RuntimeError, OSError, UnicodeDecodeError) as error:
        raise BadWeights(f"{file.name} is no sentencepiece vocabulary, or is damaged.") from error
    if END not in pieces or UNKNOWN not in pieces:
        raise CannotConvert(f"{file.name} has no {END} or no {UNKNOWN}.")
    return pieces


def _write_facts(folder: Path, vocabularies: Sequence[Sequence[str]]) -> None:
    facts = {
        "add_source_bos": False,
        "add_source_eos": False,
        "decoder_start_token": None,
        "disable_unk": True,
        "eos_token": END,
        "layer_norm_epsilon": EPSILON,
        "unk_token": UNKNOWN,
    }
    (folder / "config.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    for name, pieces in zip([SHARED] if len(vocabularies) == 1 else [SOURCE, TARGET], vocabularies, strict=True):
        (folder / name).write_text(json.dumps(list(pieces), indent=0), encoding="utf-8")
