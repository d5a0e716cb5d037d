"""A hub repository's tokenizer in a model folder's form, and the vocabulary in the order of the embeddings."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from models.convert.contract import CannotConvert
from models.convert.older_tokenizers import older_tokenizer
from models.convert.slow_tokenizer import slow_tokenizer
from models.convert.source import Source

FILE = "tokenizer.json"


class Tokens:
    """A repository's ``tokenizer.json``, checked against the model's number of embeddings."""

    def __init__(self, source: Source, rows: int) -> None:
        """Read it.

        Args:
            source: the repository.
            rows: the number of the model's embeddings.

        Raises:
            CannotConvert: the repository has no readable tokenizer, or the tokenizer has more tokens than the model.
        """
        self._source = source
        self._rows = rows
        self._text = _within(_tokenizer_json(source), rows)
        try:
            self.model = tokenizers.Tokenizer.from_str(self._text)
        except Exception as error:  # the library raises any class
            raise CannotConvert(f"{FILE} cannot be read: {error}") from error
        self.model.no_truncation()
        self.model.no_padding()
        self._of_id = {id: token for token, id in self.model.get_vocab().items()}
        beyond = max(self._of_id) - rows + 1
        if beyond > 0:
            raise CannotConvert(f"{FILE} has {beyond} tokens more than the model has embeddings ({rows}).")

    def write(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        (folder / FILE).write_text(self._text, encoding="utf-8")

    @cached_property
    def vocabulary(self) -> list[str]:
        """A token for each embedding; embeddings without a token get made-up names."""
        taken = set(self._of_id.values())
        tokens = []
        for id in range(self._rows):
            token = self._of_id.get(id)
            if token is None:
                token = next(name for i in range(len(taken) + 1) if (name := f"<extra_{id}{'_' * i}>") not in taken)
            tokens.append(token)
        return tokens

    @cached_property
    def unreachable(self) -> list[int]:
        """The ids without a token."""
        return [id for id in range(self._rows) if id not in self._of_id]

    @cached_property
    def specials(self) -> Mapping[str, str]:
        """The tokens with a role, ``bos_token`` and so on, as the repository's configurations name them."""
        found: dict[str, str] = {}
        for role in ("bos_token", "eos_token", "unk_token", "pad_token"):
            for table in (self._source.tokenizer_config, self._source.json("special_tokens_map.json")):
                token = _content(table.get(role))
                if token is not None and self.model.token_to_id(token) is not None:
                    found.setdefault(role, token)
            id = self._source.config.get(f"{role}_id")
            if role not in self._source.tokenizer_config and isinstance(id, int) and id in self._of_id:
                found.setdefault(role, self._of_id[id])
        return found

    @cached_property
    def special(self) -> list[str]:
        """The tokens that the tokenizer marks special, in the order of their ids."""
        added = self.model.get_added_tokens_decoder()
        return [token.content for _, token in sorted(added.items()) if token.special]

    @cached_property
    def begins_with(self) -> str | None:
        """The token that begins every text to continue; None if texts begin with their own first token."""
        stated = self._source.tokenizer_config.get("add_bos_token")
        if isinstance(stated, bool):
            return self.specials.get("bos_token") if stated else None
        plain, around = (self.model.encode("a", add_special_tokens=added).ids for added in (False, True))
        if len(around) > len(plain) and around[0] != plain[0]:
            return self._of_id[around[0]]
        return None

    def token(self, id: int) -> str | None:
        """The token of an id that a configuration names."""
        return self._of_id.get(id)

    def id(self, token: str) -> int:
        """The id of an existing token."""
        id: int = self.model.get_vocab()[token]
        return id

    def has(self, token: str) -> bool:
        """Tells whether this string is one token."""
        return self.model.token_to_id(token) is not None


def _tokenizer_json(source: Source) -> str:
    if source.has(FILE):
        return source.text(FILE)
    made = older_tokenizer(source) or slow_tokenizer(source)
    if made is None:
        raise CannotConvert(f"{source.repository} has no {FILE}, and no older files that one can be made of.")
    return made


def _within(text: str, rows: int) -> str:
    """The tokenizer without the added tokens that the model has no embedding for."""
    try:
        table = json.loads(text)
        added = table.get("added_tokens") or []
        beyond = [token for token in added if token["id"] >= rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CannotConvert(f"{FILE} is no tokenizer: {error}") from error
    if not beyond:
        return text
    table["added_tokens"] = [token for token in added if token["id"] < rows]
    vocabulary = table.get("model", {}).get("vocab")
    if isinstance(vocabulary, dict):
        for token in beyond:
            vocabulary.pop(token["content"], None)
    return json.dumps(table, ensure_ascii=False)


def _content(token: Any) -> str | None:
    """A token in a configuration: its text, or a table with it."""
    found = token.get("content") if isinstance(token, Mapping) else token
    return found if isinstance(found, str) else None
