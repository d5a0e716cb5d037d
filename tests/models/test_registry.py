"""Manifests: errors name the file and the key; right values come back typed."""

import hashlib
from pathlib import Path

import pytest

from models.registry import ManifestError, find_models, load_family, read_card, verify

FILES = ("model.bin", "config.json", "tokenizer.model", "sentiment.npz", "MODEL_CARD.md", "chat_template.jinja")
DIGEST = hashlib.sha256(b"x").hexdigest()

HEAD = """
id = "mood"
task = "classification"
family = "hearth-translate"
summary = "Tells moods."
license = "Apache-2.0"
created = 1790000000
context_length_tokens = 256
quantization = "int8_float32"
parameters = 12

[tokenizer]
kind = "sentencepiece"
file = "tokenizer.model"
"""
CLASSIFIER = """
[[heads]]
name = "sentiment"
labels = ["negative", "positive"]
kind = "sigmoid"
pooling = "mean"
file = "sentiment.npz"
thresholds = { positive = 0.4 }
"""


def files(names: tuple[str, ...] = FILES) -> str:
    return "\n[files]\n" + "\n".join(f'"{name}" = "{DIGEST}"' for name in names) + "\n"


def make(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(text)
    for name in FILES:
        (folder / name).write_bytes(b"x")
    return folder


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        read_card(make(folder, text))
    assert "model.toml" in str(caught.value)
    return str(caught.value)


def test_a_whole_manifest_comes_back_typed(tmp_path: Path) -> None:
    card = read_card(make(tmp_path, HEAD + CLASSIFIER + files()))
    assert card.id == "mood"
    assert card.heads[0].labels == ("negative", "positive")
    assert card.heads[0].thresholds == {"positive": 0.4}
    assert card.heads[0].temperature == 1.0
    assert card.path("model.bin") == tmp_path / "model.bin"
    assert load_family(card).__name__ == "models.families.hearth_translate"
    verify(card)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('summary = "Tells moods."', 'summary = "Tells moods."\nsumary = "x"', "unknown key 'sumary'"),
        ('license = "Apache-2.0"', "", "'license' is missing"),
        ("parameters = 12", 'parameters = "12"', "'parameters'"),
        ("parameters = 12", "parameters = true", "'parameters'"),
        ("parameters = 12", "parameters = -1", "'parameters'"),
        ('kind = "sigmoid"', 'kind = "relu"', "'heads[0].kind'"),
        ('kind = "sentencepiece"', 'kind = "magic"', "'tokenizer.kind'"),
        ("positive = 0.4", "positive = 1.4", "heads[0].thresholds.positive"),
        ("positive = 0.4", "positive = nan", "heads[0].thresholds.positive"),
        ("positive = 0.4", "angry = 0.4", "heads[0].thresholds.angry"),
        ('["negative", "positive"]', '["positive", "positive"]', "heads[0].labels"),
        ('["negative", "positive"]', '["negative", 3]', "heads[0].labels[1]"),
        ('task = "classification"', 'task = "embedding"', "section 'embedding'"),
        ('id = "mood"', 'id = "../mood"', "'id'"),
        ('family = "hearth-translate"', 'family = "os.path"', "'family'"),
        ('file = "sentiment.npz"', 'file = "other.npz"', "'other.npz'"),
        (DIGEST, "abc", "SHA-256"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, old: str, new: str, named: str) -> None:
    text = HEAD + CLASSIFIER + files()
    assert old in text
    assert named in refusal(tmp_path, text.replace(old, new))


@pytest.mark.parametrize(("name", "value"), [("temperature", 3), ("top_p", 0), ("top_k", -1), ("heat", 1)])
def test_a_recommendation_that_makes_no_sense_is_refused(tmp_path: Path, name: str, value: float) -> None:
    section = f'\n[generation]\nstop_tokens = ["</s>"]\n[generation.sampling]\n{name} = {value}\n'
    text = HEAD.replace('task = "classification"', 'task = "generation"') + section + files()
    assert f"generation.sampling.{name}" in refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\\\x", "C:x", "./x", "", "a//b"])
def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    assert "inside the folder" in refusal(tmp_path, HEAD + CLASSIFIER + files((*FILES, name)))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    folder = make(tmp_path / "model", HEAD + CLASSIFIER + files())
    (folder / "model.bin").unlink()
    (folder / "model.bin").symlink_to(outside)
    with pytest.raises(ManifestError, match="link out of the folder"):
        read_card(folder)


@pytest.mark.parametrize("content", ["not toml", "\udcff"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ManifestError, match="is not TOML"):
        read_card(tmp_path)


def test_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_card(tmp_path)


def test_verify_names_every_file_that_is_damaged_missing_or_not_listed(tmp_path: Path) -> None:
    card = read_card(make(tmp_path, HEAD + CLASSIFIER + files()))
    (tmp_path / "model.bin").write_bytes(b"y")
    (tmp_path / "config.json").unlink()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more").write_bytes(b"")
    with pytest.raises(ManifestError) as caught:
        verify(card)
    for part in ("'model.bin' is damaged", "'config.json' is missing", "'sub/more' is not listed"):
        assert part in str(caught.value)


def test_a_linked_folder_is_not_followed_but_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = make(tmp_path / "model", HEAD + CLASSIFIER + files())
    (folder / "more").symlink_to(outside)
    with pytest.raises(ManifestError, match="'more' is not listed"):
        verify(read_card(folder))


def test_models_are_found_sorted_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        make(tmp_path / f"x{name}", (HEAD + CLASSIFIER + files()).replace('"mood"', f'"{name}"'))
    (tmp_path / "notes").mkdir()
    assert [card.id for card in find_models(tmp_path)] == ["a", "b", "c"]
    assert find_models(tmp_path / "nowhere") == []


def test_a_model_of_an_earlier_root_takes_the_place_of_one_with_the_same_id(tmp_path: Path) -> None:
    for place in ("own/x", "shipped/y"):
        (tmp_path / place).parent.mkdir()
        make(tmp_path / place, HEAD + CLASSIFIER + files())
    [card] = find_models(tmp_path / "own", tmp_path / "shipped")
    assert card.folder == tmp_path / "own" / "x"


def test_one_id_twice_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "one", HEAD + CLASSIFIER + files())
    make(tmp_path / "two", HEAD + CLASSIFIER + files())
    with pytest.raises(ManifestError, match="already taken"):
        find_models(tmp_path)


def test_a_family_that_is_not_there_is_refused(tmp_path: Path) -> None:
    card = read_card(make(tmp_path, (HEAD + CLASSIFIER + files()).replace("hearth-translate", "nobody")))
    with pytest.raises(ManifestError, match="no family 'nobody'"):
        load_family(card)
