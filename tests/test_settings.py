from pathlib import Path
from typing import Any

import pytest

from server.settings import SettingsError, load_settings, table

README = Path(__file__).parents[1] / "README.md"


def load(flags: dict[str, Any] | None = None, environment: dict[str, str] | None = None, **kwargs: Any) -> Any:
    return load_settings(flags, environment or {}, **kwargs)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "hearth.toml"
    file.write_text('port = 1\nqueue_rows = 7\nlog_level = "error"\n')
    settings = load({"port": "3", "host": None}, {"HEARTH_PORT": "2", "HEARTH_LOG_LEVEL": "debug"}, file=file)
    assert (settings.port, settings.log_level, settings.queue_rows) == (3, "debug", 7)


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "hearth.toml"
    file.write_text("port = 1234\n")
    assert load(environment={"HEARTH_CONFIG": str(file)}).port == 1234


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        ({"prot": "1"}, {}, "prot"),
        ({}, {"HEARTH_PROT": "1"}, "prot"),
        ({"port": "eighty"}, {}, "a whole number"),
        ({"port": "70000"}, {}, "0 to 65535"),
        ({"allow_public": "perhaps"}, {}, "yes or no"),
        ({"log_level": "loud"}, {}, "one of debug"),
        ({"queue_rows": "0"}, {}, "at least 1"),
        ({"drain_s": "-1"}, {}, "negative"),
        ({"api_keys": "secret"}, {}, "SHA-256"),
        ({"aliases": "gpt-4o-mini"}, {}, "a list of NAME=ID"),
        ({"aliases": "a=b=c"}, {}, "a list of NAME=ID"),
        ({"aliases": "=assistant"}, {}, "a list of NAME=ID"),
        ({"load": "never"}, {}, "one of start, use"),
        ({"memory_mb": "-1"}, {}, "negative"),
    ],
)
def test_what_is_wrong_is_an_error_that_names_it(flags: dict[str, str], environment: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(flags, environment)


def test_pairs_are_text_or_a_table(tmp_path: Path) -> None:
    file = tmp_path / "hearth.toml"
    file.write_text('[aliases]\ngpt-4o-mini = "assistant"\n"text-embedding-3-small" = "embed"\n')
    pairs = (("gpt-4o-mini", "assistant"), ("text-embedding-3-small", "embed"))
    assert load(file=file).aliases == pairs
    assert load({"aliases": "gpt-4o-mini=assistant, text-embedding-3-small = embed"}).aliases == pairs


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(file=tmp_path / "none.toml")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])  # noqa: S104  the point of the test
def test_a_public_address_needs_keys_or_an_explicit_word(host: str) -> None:
    with pytest.raises(SettingsError, match="api_keys"):
        load({"host": host})
    assert load({"host": host, "allow_public": "yes"}).host == host
    assert load({"host": host, "api_keys": "ab" * 32}).api_keys == ("ab" * 32,)


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    section = README.read_text("utf-8").split("| setting |")[1].split("\n\n")[0]
    documented = [line.split("|")[1].strip("` ") for line in section.splitlines() if line.startswith("| `")]
    assert documented == [name for name, _, _ in table()]
