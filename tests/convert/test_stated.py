"""The facts that repositories state about labels, heads, pooling and languages; needs no torch."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.convert import CannotConvert, Request, convert
from models.convert.classifiers import CATEGORIES, head_name, kind_of, labels_of
from models.convert.embedders import pipeline_of
from models.convert.languages import codes, iso_639_1
from models.convert.source import Source
from server.api.openai import moderations


def source(folder: Path, **config: Any) -> Source:
    return Source(folder, "org/name", None, config)


def test_labels_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    stated = {str(i): f"label {i}" for i in (10, 2, 1, 0, 3, 4, 5, 6, 7, 8, 9)}
    assert labels_of(source(tmp_path, id2label=stated)) == tuple(f"label {i}" for i in range(11))


@pytest.mark.parametrize("stated", [None, {"1": "a", "2": "b"}, {"0": "a", "1": "a"}, {"zero": "a"}])
def test_labels_that_are_none_are_refused(tmp_path: Path, stated: Any) -> None:
    with pytest.raises(CannotConvert, match="label"):
        labels_of(source(tmp_path, id2label=stated))


@pytest.mark.parametrize(
    ("problem", "labels", "kind"),
    [
        (None, 2, "softmax"),
        ("single_label_classification", 3, "softmax"),
        ("multi_label_classification", 1, "sigmoid"),
        ("regression", 1, None),
        (None, 1, None),
    ],
)
def test_the_problem_type_says_whether_labels_exclude_each_other(
    tmp_path: Path, problem: str | None, labels: int, kind: str | None
) -> None:
    config = source(tmp_path, problem_type=problem, id2label={str(i): str(i) for i in range(labels)})
    if kind is None:
        with pytest.raises(CannotConvert, match="numbers and no labels"):
            kind_of(config)
    else:
        assert kind_of(config) == kind


def test_labels_without_names_are_given_some(tmp_path: Path) -> None:
    config = source(tmp_path, id2label={str(i): f"LABEL_{i}" for i in range(3)})
    assert labels_of(config, ("negative", "neutral", "positive")) == ("negative", "neutral", "positive")
    assert labels_of(config) == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (("good", "bad"), r"has 3 labels \(LABEL_0, LABEL_1, LABEL_2\), not 2"),
        (("a", "b", "c", "d"), "not 4"),
        (("a", "b", "a"), "different and not empty"),
        (("a", "", "c"), "different and not empty"),
    ],
)
def test_names_of_labels_that_do_not_fit_are_refused(tmp_path: Path, wanted: tuple[str, ...], why: str) -> None:
    with pytest.raises(CannotConvert, match=why):
        labels_of(source(tmp_path, id2label={str(i): f"LABEL_{i}" for i in range(3)}), wanted)


def test_only_classifiers_have_labels_to_name(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    decoder = source(tmp_path / "hub", architectures=["LlamaForCausalLM"])
    with pytest.raises(CannotConvert, match="is no classifier"):
        convert(decoder, tmp_path / "models", "mine", Request(labels=("good", "bad")))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (("NEGATIVE", "POSITIVE"), "sentiment"),
        (("negative", "neutral", "positive"), "sentiment"),
        (("negative", "positive", "mixed"), "labels"),
        (("LABEL_0", "LABEL_1"), "labels"),
        (("hate", "self-harm", "OK"), "moderation"),
        (("hate", "joy"), "labels"),
        (("ok", "none"), "labels"),
    ],
)
def test_a_head_is_named_for_what_its_labels_are_good_for(labels: tuple[str, ...], name: str) -> None:
    assert head_name(labels) == name


def test_the_categories_of_harm_are_those_of_the_endpoint() -> None:
    assert set(moderations.CATEGORIES) == CATEGORIES


def modules(folder: Path, kinds: list[str], **pooling: Any) -> Source:
    listed = [{"path": str(i), "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1").mkdir()
    (folder / "1" / "config.json").write_text(json.dumps(pooling))
    return source(folder, architectures=["BertModel"])


def test_a_pooling_is_read(tmp_path: Path) -> None:
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    pipeline = pipeline_of(modules(tmp_path, ["Transformer", "Pooling", "Normalize"], **pooling))
    assert (pipeline.pooling, pipeline.normalize, pipeline.most_tokens) == ("cls", True, None)


@pytest.mark.parametrize(
    ("kinds", "pooling", "why"),
    [
        (["Transformer", "Pooling", "Dense"], {"pooling_mode_mean_tokens": True}, "Dense"),
        (["Transformer", "Pooling"], {"pooling_mode_max_tokens": True}, "max_tokens"),
        (["Transformer", "Pooling"], {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "mean_tokens"),
        (["CLIPModel"], {}, "CLIPModel"),
    ],
)
def test_a_pipeline_that_is_not_served_is_named(
    tmp_path: Path, kinds: list[str], pooling: dict[str, bool], why: str
) -> None:
    with pytest.raises(CannotConvert, match=why):
        pipeline_of(modules(tmp_path, kinds, **pooling))


def test_a_model_of_masked_words_does_not_embed(tmp_path: Path) -> None:
    with pytest.raises(CannotConvert, match="masked words"):
        pipeline_of(source(tmp_path, architectures=["BertForMaskedLM"]))
    assert pipeline_of(source(tmp_path, architectures=["BertModel"])).pooling == "mean"


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["eng_Latn", "zho_Hans", "zho_Hant", "ace_Arab", "ace_Latn"], ["en", "zh", "zh-Hant", "ace-Arab", "ace"]),
        (["fra", "por", "pt_br", "ROMANCE"], ["fr", "pt", "pt-BR"]),
        (["srp_Latn", "srp_Cyrl", "arb_Arab", "arb_Latn"], ["sr-Latn", "sr", "ar", "ar-Latn"]),
        (["pes_Arab", "fas"], ["fa", "fas"]),
    ],
)
def test_a_models_names_of_languages_become_those_of_users(names: list[str], known: list[str]) -> None:
    made = codes(names)
    assert list(made) == known
    assert [made[code] for code in known] == [name for name in names if name != "ROMANCE"]


def test_a_group_of_languages_is_none() -> None:
    assert [iso_639_1(code) for code in ("en", "deu", "mul", "gmq", "ROMANCE")] == ["en", "de", None, None, None]


def test_the_languages_of_a_readme_are_read(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlanguage:\n- en\n- pt_br\n- da\nlicense: mit\n---\n- fr\n")
    assert source(tmp_path).languages == ("en", "pt_br", "da")
    assert source(tmp_path).license == "mit"
