"""Settings: their values, and the messages about wrong ones."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from server.settings import SHIPPED_MODELS, USER_MODELS, Settings, SettingsError, load_settings, table

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
NUMBERS = [name for name, about in Settings.model_fields.items() if about.annotation in (int, float)]


def refused(warned: str) -> None:
    raise AssertionError(warned)


def load(flags: dict[str, Any] | None = None, environment: dict[str, str] | None = None, **kwargs: Any) -> Settings:
    return load_settings(flags, environment or {}, **{"warn": refused} | kwargs)


def says(flags: dict[str, Any] | None = None, environment: dict[str, str] | None = None, **kwargs: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load(flags, environment, **kwargs)
    return str(error.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hearth.toml"


def test_a_flag_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('port = 1\nqueue_rows = 7\nlog_level = "error"\n')
    settings = load({"port": "3", "host": None}, {"HEARTH_PORT": "2", "HEARTH_LOG_LEVEL": "debug"}, file=file)
    assert (settings.port, settings.log_level, settings.queue_rows) == (3, "debug", 7)


def test_the_environment_names_the_file(file: Path) -> None:
    file.write_text("port = 1234\n")
    assert load(environment={"HEARTH_CONFIG": str(file)}).port == 1234


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("port", "eighty", "a whole number, 0 to 65535"),
        ("port", "70000", "a whole number, 0 to 65535"),
        ("port", "80.5", "a whole number, 0 to 65535"),
        ("port", "", "a whole number, 0 to 65535"),
        ("allow_public", "perhaps", "yes or no"),
        ("log_level", "loud", "one of debug, info, warning, error"),
        ("load", "never", "one of start, use"),
        ("queue_rows", "0", "a whole number of at least 1"),
        ("memory_mb", "-1", "a whole number of at least 0"),
        ("drain_s", "-1", "a number of seconds of at least 0"),
        ("body_timeout_s", "0", "a number of seconds above 0"),
        ("aliases", "gpt-4o-mini", "a list of NAME=ID"),
        ("aliases", "a=b=c", "a list of NAME=ID"),
        ("aliases", "=assistant", "a list of NAME=ID"),
        ("aliases", "a=assistant,a=translate", "a list of NAME=ID"),
        ("allowed_hosts", "https://models.example", "a list of host names without scheme and port"),
        ("allowed_hosts", "models.example:443", "a list of host names without scheme and port"),
        ("models_dir", "", "the path of a folder"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_is_allowed(
    file: Path, name: str, value: str, allowed: str
) -> None:
    flag, variable = f"--{name.replace('_', '-')}", f"HEARTH_{name.upper()}"
    assert says({name: value}).startswith(f"{flag} is {value!r}; it must be {allowed}")
    in_environment = f"{variable} in the environment is {value!r}; it must be {allowed}"
    assert says(environment={variable: value}).startswith(in_environment)
    file.write_text(f'# of a person\nlog_format = "json"\n{name} = "{value}"\n')
    assert says(file=file).startswith(f"{file}, line 3: {name} is {value!r}; it must be {allowed}")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused_as_text_and_in_the_file(file: Path, name: str, value: str) -> None:
    assert f"--{name.replace('_', '-')} is {value!r}" in says({name: value})
    file.write_text(f"{name} = {value}\n")
    assert f"line 1: {name} is" in says(file=file)


@pytest.mark.parametrize("name", [name for name in NUMBERS if Settings.model_fields[name].annotation is int])
def test_no_number_is_cut_to_a_whole_one(file: Path, name: str) -> None:
    file.write_text(f"{name} = 3.7\n")
    assert f"line 1: {name} is 3.7; it must be a whole number" in says(file=file)
    file.write_text(f"{name} = true\n")
    assert f"line 1: {name} is True; it must be a whole number" in says(file=file)


def test_everything_that_is_wrong_is_said_at_once(file: Path) -> None:
    file.write_text('prot = 80\n\n[aliases]\na = "assistant"\nb = 5\n')
    said = says({"drain_s": "soon"}, {"HEARTH_QUEUE_ROWS": "many"}, file=file).splitlines()
    assert said == [
        f"{file}, line 3: aliases is {{'a': 'assistant', 'b': 5}}; it must be a list of NAME=ID.",
        f"{file}, line 1: prot is not a setting. Did you mean port?",
        "HEARTH_QUEUE_ROWS in the environment is 'many'; it must be a whole number of at least 1.",
        "--drain-s is 'soon'; it must be a number of seconds of at least 0.",
    ]


def test_a_wrong_value_is_refused_although_another_wins_over_it() -> None:
    assert "HEARTH_PORT in the environment" in says({"port": "80"}, {"HEARTH_PORT": "eighty"})


def test_an_unknown_flag_is_refused_with_the_nearest_one() -> None:
    assert says({"queue_row": "1"}) == "--queue-row is not a setting. Did you mean --queue-rows?"


def test_what_may_be_a_key_is_never_shown() -> None:
    said = says({"api_keys": "sk-hearth-secret"}, {"HEARTH_API_KEYS": "sk-hearth-secret"})
    assert "SHA-256" in said
    assert "secret" not in said


def test_an_unknown_name_in_the_environment_is_warned_of_with_the_nearest_one() -> None:
    said: list[str] = []
    environment = {"HEARTH_QUEUE_ROW": "5", "HEARTH_WEATHER": "sk-secret", "HEARTHSTONE": "1", "HEARTH_Port": "9"}
    assert load({}, environment, warn=said.append) == Settings()
    assert said == [
        "HEARTH_Port in the environment is not a setting; it is ignored. Did you mean HEARTH_PORT?",
        "HEARTH_QUEUE_ROW in the environment is not a setting; it is ignored. Did you mean HEARTH_QUEUE_ROWS?",
        "HEARTH_WEATHER in the environment is not a setting; it is ignored.",
    ]


def service_links(name: str, port: str = "8000") -> dict[str, str]:
    """What Kubernetes puts into the environment of each container in a namespace that has a Service of this name."""
    address = f"tcp://10.96.14.3:{port}"
    return {
        f"{name}_SERVICE_HOST": "10.96.14.3",
        f"{name}_SERVICE_PORT": port,
        f"{name}_SERVICE_PORT_HTTP": port,
        f"{name}_PORT": address,
        f"{name}_PORT_{port}_TCP": address,
        f"{name}_PORT_{port}_TCP_PROTO": "tcp",
        f"{name}_PORT_{port}_TCP_PORT": port,
        f"{name}_PORT_{port}_TCP_ADDR": "10.96.14.3",
    }


def test_a_kubernetes_service_of_our_name_is_warned_of_once_and_sets_nothing() -> None:
    said: list[str] = []
    environment = service_links("HEARTH") | service_links("HEARTH_METRICS", "9100") | {"HEARTH_QUEUE_ROWS": "7"}
    assert load({}, environment, warn=said.append) == Settings(queue_rows=7)
    (sentence,) = said
    assert "enableServiceLinks: false" in sentence
    assert all(name in sentence for name in environment if name != "HEARTH_QUEUE_ROWS")


def test_no_setting_has_a_name_that_kubernetes_takes() -> None:
    ours = {f"HEARTH_{name.upper()}": str(about.default) for name, about in Settings.model_fields.items()}
    numbers = {name: ours[f"HEARTH_{name.upper()}"] for name in NUMBERS}
    read = load({}, {f"HEARTH_{name.upper()}": value for name, value in numbers.items()})
    assert read.model_fields_set == set(NUMBERS)


TOML = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.sampled_from(["1", "0", "yes", "1e3", "a=b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@effort(max_examples=500, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(sorted(Settings.model_fields)), TOML)
def test_whatever_a_file_says_is_a_setting_as_it_stands_or_an_error_that_names_it(name: str, value: Any) -> None:
    said, settings = "", Settings()
    try:
        settings = load({name: value})
    except SettingsError as error:
        said = str(error)
    assert (
        not said
        or said.startswith(f"--{name.replace('_', '-')} is ")
        or (name == "host" and said.startswith("host is "))
    )
    if name in NUMBERS and not said:
        assert not isinstance(value, bool)
        assert getattr(settings, name) == float(value)


def test_pairs_are_text_or_a_table(file: Path) -> None:
    file.write_text('[aliases]\ngpt-4o-mini = "assistant"\n"text-embedding-3-small" = "embed"\n')
    pairs = (("gpt-4o-mini", "assistant"), ("text-embedding-3-small", "embed"))
    assert load(file=file).aliases == pairs
    assert load({"aliases": "gpt-4o-mini=assistant, text-embedding-3-small = embed"}).aliases == pairs


def test_lists_are_text_or_a_list(file: Path) -> None:
    file.write_text('models = ["assistant", " embed "]\nallowed_hosts = "a.example, b.example,"\n')
    settings = load(file=file)
    assert settings.models == ("assistant", "embed")
    assert settings.allowed_hosts == ("a.example", "b.example")


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read" in says(file=tmp_path / "none.toml")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])  # noqa: S104  the point of the test
def test_a_public_address_needs_keys_or_an_explicit_word(host: str) -> None:
    assert "api_keys" in says({"host": host})
    assert load({"host": host, "allow_public": "yes"}).host == host
    assert load({"host": host, "api_keys": "ab" * 32}).api_keys == ("ab" * 32,)


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    section = PAGE.read_text("utf-8").split("| setting |")[1].split("\n\n")[0]
    rows = [
        [cell.strip("` ") for cell in line.split("|")[1:4]] for line in section.splitlines() if line.startswith("| `")
    ]
    assert rows == [[name, default or "none", about] for name, default, about in table()]


def test_the_users_models_are_served_beside_the_shipped_where_nothing_is_set(tmp_path: Path) -> None:
    assert load().model_folders == (USER_MODELS, SHIPPED_MODELS)
    assert load({"models_dir": tmp_path}).model_folders == (tmp_path,)
