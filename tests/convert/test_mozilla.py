"""Pulling Firefox's translators from Mozilla's registry: chosen by name, checked by hash, taken up where they broke."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.convert.hub import CannotFetch
from models.convert.mozilla import SERVER_VARIABLE, Attachment, Offer, Registry, chosen
from models.registry import find_models, verify
from server.cli.models import pull
from server.settings import Settings
from tests.convert.firefox_files import write_student
from tests.convert.mozilla_registry import StandIn, open_registry

Pull = Callable[..., int]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("directions")
    made = {name: write_student(root / name, name, seed=i) for i, name in enumerate(("ende", "enfr", "deen"))}
    return made | {"enja": write_student(root / "enja", "enja", two=True)}


@pytest.fixture
def registry(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with open_registry() as made:
        monkeypatch.setenv(SERVER_VARIABLE, made.url)
        made.add(folders["ende"], "en", "de")
        made.add(folders["enfr"], "en", "fr")
        made.add(folders["deen"], "de", "en")
        yield made


@pytest.fixture
def run(tmp_path: Path) -> Pull:
    def run(wanted: str, revision: str | None = None, name: str | None = None, **flags: Any) -> int:
        how = {"quantization": "int8_float32", "context_tokens": None, "labels": (), "as_json": False}
        rest = {"offline": False, "token_file": None, **flags}
        return pull(wanted, revision, name, check="passage", settings=Settings(models_dir=tmp_path), **rest, **how)

    return run


def test_a_direction_is_a_model_with_its_version(registry: StandIn, run: Pull, tmp_path: Path) -> None:
    assert run("mozilla:en-de") == 0
    [card] = find_models(tmp_path)
    verify(card)
    assert card.translation is not None
    assert card.origin is not None
    assert (card.id, card.license, card.translation.pairs) == ("firefox-en-de", "MPL-2.0", (("en", "de"),))
    assert (card.origin.repository, card.origin.revision) == ("mozilla/firefox-en-de", "1.0")
    assert [file.name for file in tmp_path.iterdir()] == ["firefox-en-de"]  # nothing of the download is left


def test_a_pair_with_two_vocabularies_is_pulled_whole(
    registry: StandIn, folders: dict[str, Path], run: Pull, tmp_path: Path
) -> None:
    registry.add(folders["enja"], "en", "ja")
    assert run("mozilla:en-ja") == 0
    [card] = find_models(tmp_path)
    assert (card.tokenizer.file, card.tokenizer.target_file) == ("srcvocab.spm", "trgvocab.spm")
    assert {"source_vocabulary.json", "target_vocabulary.json", "shortlist.bin"} <= card.files.keys()


def test_several_directions_from_one_language_are_as_many_models(registry: StandIn, run: Pull, tmp_path: Path) -> None:
    assert run("mozilla:en-de") == 0
    downloads = len(registry.ranges)
    assert run("mozilla:en-de,fr,de-en") == 0
    assert [card.id for card in find_models(tmp_path)] == ["firefox-de-en", "firefox-en-de", "firefox-en-fr"]
    assert len(registry.ranges) == 3 * downloads  # what was there was not asked for again


def test_a_direction_that_is_there_is_left_where_that_is_asked_for(registry: StandIn, run: Pull) -> None:
    assert run("mozilla:en-de") == 0
    downloads = len(registry.ranges)
    assert run("mozilla:en-de", if_missing=True) == 0
    assert len(registry.ranges) == downloads
    assert run("mozilla:en-de") == 1


def test_a_download_that_broke_off_goes_on_where_it_broke(
    registry: StandIn, run: Pull, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.cuts = [700]
    assert run("mozilla:en-de") == 1
    assert "broke off" in capsys.readouterr().err
    assert find_models(tmp_path) == []
    assert run("mozilla:en-de") == 0
    assert "bytes=700-" in registry.ranges


def test_a_server_without_ranges_sends_the_file_again(registry: StandIn, run: Pull) -> None:
    registry.cuts, registry.takes_ranges = [700], False
    assert run("mozilla:en-de") == 1
    assert run("mozilla:en-de") == 0


def test_a_file_with_another_hash_is_thrown_away(
    registry: StandIn, run: Pull, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    location = "/" + registry.records[0]["attachment"]["location"]
    sound = registry.files[location]
    registry.files[location] = sound[:-1] + bytes([sound[-1] ^ 1])
    assert run("mozilla:en-de") == 1
    assert "another SHA-256" in capsys.readouterr().err
    registry.files[location] = sound
    assert run("mozilla:en-de") == 0


def test_a_file_that_is_longer_than_announced_is_not_read_to_its_end(registry: StandIn, run: Pull) -> None:
    registry.files["/" + registry.records[0]["attachment"]["location"]] += bytes(5_000_000)
    assert run("mozilla:en-de") == 1


@pytest.mark.parametrize(
    ("wanted", "flags", "says"),
    [
        ("mozilla:en-xx", {}, "has no en-xx; there are: de-en, en-de, en-fr"),
        ("mozilla:en-de:base", {}, "no variant 1.0"),
        ("mozilla:en-de", {"revision": "9.9"}, "en-de not as 9.9"),
        ("mozilla:en-de,fr", {"name": "mine"}, "--name names one model"),
        ("mozilla:en-de", {"offline": True}, "neither --offline"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_downloaded(
    registry: StandIn, run: Pull, capsys: pytest.CaptureFixture[str], wanted: str, flags: dict[str, Any], says: str
) -> None:
    assert run(wanted, **flags) == 1
    assert says in capsys.readouterr().err
    assert registry.ranges == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"filename": "../../evil.bin"},
        {"filename": "/etc/passwd"},
        {"hash": "0"},
        {"size": -1},
        {"size": 1 << 40},
        {"location": None},
    ],
)
def test_a_record_that_lies_is_no_offer(registry: StandIn, wrong: dict[str, Any]) -> None:
    model = next(each for each in registry.records if each["fileType"] == "model" and each["toLang"] == "de")
    model["attachment"] |= wrong
    made = Registry()
    assert [offer.pair for offer in made.offers()] == ["de-en", "en-fr"]
    made.close()


def test_a_registry_that_is_none_is_a_sentence(run: Pull, monkeypatch: pytest.MonkeyPatch, registry: StandIn) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, f"{registry.url}/nowhere")
    assert run("mozilla:en-de") == 1
    monkeypatch.setenv(SERVER_VARIABLE, "http://127.0.0.1:1")
    assert run("mozilla:en-de") == 1


def offer(pair: str, version: str = "1.0", variant: str = "") -> Offer:
    source, _, target = pair.partition("-")
    return Offer(source, target, variant, version, (Attachment("model.bin", "x", "0" * 64, 1),))


@pytest.mark.parametrize(
    ("wanted", "version", "found"),
    [
        ("en-de", None, [("en-de", "", "1.10")]),
        ("en-de:tiny", None, [("en-de", "tiny", "2.0")]),
        ("en-de", "1.2", [("en-de", "", "1.2")]),
        ("en-de,zh-Hant", None, [("en-de", "", "1.10"), ("en-zh-Hant", "", "1.0")]),
        ("zh-Hant-en", None, [("zh-Hant-en", "", "1.0")]),
        ("en-fr", None, [("en-fr", "", "0.4")]),
    ],
)
def test_the_newest_version_that_is_no_beta_is_meant(
    wanted: str, version: str | None, found: list[tuple[str, str, str]]
) -> None:
    offers = [offer("en-de", "1.2"), offer("en-de", "1.10"), offer("en-de", "2.0a1"), offer("en-fr", "0.4")]
    offers += [offer("en-zh-Hant"), Offer("zh-Hant", "en", "", "1.0", ()), offer("en-de", "2.0", "tiny")]
    if not wanted.endswith("tiny"):
        offers = [each for each in offers if not each.variant]
    assert [(each.pair, each.variant, each.version) for each in chosen(wanted, offers, version)] == found


def test_a_beta_is_what_is_named(registry: StandIn) -> None:
    with pytest.raises(CannotFetch, match="has no en-it"):
        chosen("en-it", [offer("en-de")])
