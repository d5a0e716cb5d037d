"""Original chat templates of models, from the sources of a package (requirements/templates.txt)."""

import sys
from collections.abc import Mapping
from pathlib import Path

from models.convert.chat import readable
from models.tokenizers import Special
from server.tasks.generation.chat_template import ChatTemplate

FOLDER = Path(sys.prefix) / "share" / "llama.cpp" / "models"
TEMPLATES = FOLDER / "templates"
VARIABLES = {"bos_token": "<BOS>", "eos_token": "<EOS>"}


def names() -> list[str]:
    """Of all templates there are; none where the package is not."""
    return sorted(file.stem for file in TEMPLATES.glob("*.jinja"))


def template(name: str, variables: Mapping[str, str] | None = None) -> ChatTemplate:
    source = readable((TEMPLATES / f"{name}.jinja").read_text("utf-8"))
    return ChatTemplate(source, (), VARIABLES if variables is None else variables)


def text_of(segments: list[Special | str]) -> str:
    return "".join(part.token if isinstance(part, Special) else part for part in segments)
