"""No pattern costs more than in proportion to the text: not one that a client sends, nor one that a file has."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

import pytest
import tokenizers

import models
import server
from models.registry import find_models, load_family
from models.tokenizers import HuggingFaceTokenizer, load_tokenizer
from server.tasks.generation.chat_template import ChatTemplate
from server.tasks.generation.grammars import tool_signature
from server.tasks.generation.stop_strings import ThoughtMarks
from tests.call_templates import HERMES, LLAMA, PYTHON, XML, form_of
from tests.convert.decoder_repositories import byte_level
from tests.hostile import ENDS, UNITS, digits, growth, shape

ROOT = Path(__file__).parent.parent
CHARACTERS = 5_000
METHODS = ("search", "match", "fullmatch", "finditer")
READERS = {"sub": "finditer", "subn": "finditer", "findall": "finditer", "split": "finditer"}
"""Methods that read a text as another one does."""
MADE_IN_FUNCTIONS = {
    "server/tasks/generation/chat_template.py",  # of a model's special tokens, once for a model; tried below
    "models/families/call_bodies.py",  # of the texts of a model's form of calls; tried below
    "models/tokenizer_json.py",  # of a model's added tokens; tried below
    "models/convert/hub.py",  # the command line: names of a repository's files, and the tag that a person typed
    "models/convert/kinds.py",
    "models/recipes/assistant/swapping.py",  # training tools: of names in their own data
    "models/recipes/assistant/renaming.py",
    "models/recipes/translate/made.py",
}


def modules() -> Iterator[ModuleType]:
    """Every module that can be imported without what only training needs."""
    for package in (server, models):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__"):
                continue
            try:
                yield importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                assert error.name in {"torch", "safetensors", "sklearn", "transformers"}, error  # noqa: PT017
                source = (ROOT / (found.name.replace(".", "/") + ".py")).read_text("utf-8")
                assert "re.compile" not in source, f"the patterns of {found.name} cannot be tried"


def patterns_in(value: Any, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, dict):
        for each in value.values():
            yield from patterns_in(each, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from patterns_in(each, depth - 1)
    elif depth and isinstance(value, type):
        yield from patterns_in(dict(vars(value)), depth - 1)


def patterns() -> dict[str, tuple[re.Pattern[Any], tuple[str, ...]]]:
    """Each pattern of a module or a class, by its place, and how that module reads with it."""
    found = {}
    for module in modules():
        if not str(module.__file__).endswith(".py"):
            continue
        source = Path(str(module.__file__)).read_text("utf-8")
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ != module.__name__:
                continue
            for i, pattern in enumerate(patterns_in(value)):
                used = {READERS.get(each, each) for each in re.findall(rf"\b{re.escape(name)}\.(\w+)\(", source)}
                if f"in_stretches({name}," in source:
                    used.add("search")
                found[f"{module.__name__}.{name}[{i}]"] = pattern, tuple(used & set(METHODS)) or METHODS
    return found


def readings(pattern: re.Pattern[Any], methods: tuple[str, ...]) -> Callable[[str], None]:
    def read(text: str) -> None:
        subject = text.encode() if isinstance(pattern.pattern, bytes) else text
        for method in methods:
            found = getattr(pattern, method)(subject)
            if method == "finditer":
                for _ in found:
                    pass

    return read


def worst(work: Callable[[str], object], characters: int) -> list[str]:
    """The texts on which the work costs more than in proportion to their length."""
    makes = {f"{unit!r}*n{end!r}": lambda n, u=unit, e=end: shape(u, n, e) for unit in UNITS for end in ENDS}
    grown = {name: growth(work, make, characters) for name, make in [*makes.items(), ("digits", digits)]}
    return [f"{name}: {times:.1f} times for twice the text" for name, times in grown.items() if times >= 3]


def test_a_pattern_reads_twice_the_text_in_less_than_three_times_the_time() -> None:
    tried = patterns()
    assert len(tried) > 40
    bad = {
        name: found for name, (pattern, how) in tried.items() if (found := worst(readings(pattern, how), CHARACTERS))
    }
    assert bad == {}


@pytest.mark.parametrize("name", [card.id for card in find_models(ROOT / "models" / "weights") if card.generation])
def test_so_does_what_keeps_a_models_special_tokens_out_of_texts(name: str) -> None:
    [card] = [card for card in find_models(ROOT / "models" / "weights") if card.id == name]
    tokenizer = load_tokenizer(card)
    template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", tokenizer.special_tokens)
    assert load_family(card)
    assert worst(lambda text: template.render([{"role": "user", "content": text}]), CHARACTERS) == []


@pytest.mark.parametrize("template", [HERMES, LLAMA, XML, PYTHON], ids=["hermes", "llama", "xml", "python"])
def test_so_does_what_reads_a_models_calls(template: str) -> None:
    form = form_of(template)
    tool = tool_signature("get", {"properties": {"a": {"type": "string"}}}, "tools", strict=False)
    one = form.begin + ("{" if "name" in form.texts else "get><parameter=a>\n")
    for begin in ("", form.begin, one):
        assert worst(lambda text, begin=begin: form.parse(begin + text, [tool], cut=True), CHARACTERS) == []  # type: ignore[misc]


def test_so_does_what_finds_marks_and_thoughts(tmp_path: Path) -> None:
    made = byte_level()
    made.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in ("<think>", "</think>")])
    made.save(str(tmp_path / "tokenizer.json"))
    tokenizer = HuggingFaceTokenizer(tmp_path / "tokenizer.json", "<think></think>")
    assert worst(tokenizer.encode, CHARACTERS) == []

    def streamed(text: str) -> None:
        marks = ThoughtMarks("<think>", "</think>", inside=True)
        for i in range(0, len(text), 4):
            marks.push(text[i : i + 4])
        marks.finish()

    assert worst(streamed, CHARACTERS) == []


def test_no_pattern_is_made_of_what_a_client_sends() -> None:
    """Patterns are made at import, or of a model's own files: Python keeps each pattern that it has compiled."""
    made = set()
    for path in sorted([*ROOT.glob("server/**/*.py"), *ROOT.glob("models/**/*.py")]):
        tree = ast.parse(path.read_text("utf-8"))
        functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        calls = {ast.unparse(each.func) for function in functions for each in ast.walk(function) if is_call(each)}
        if any(call.startswith("re.") and call != "re.escape" for call in calls):
            made.add(path.relative_to(ROOT).as_posix())
    assert made == MADE_IN_FUNCTIONS


def is_call(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call)
