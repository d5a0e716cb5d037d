"""Folders of tiny generators as conversion leaves them: random weights, a token a letter. No torch is needed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from models.cards import GenerationSpec, Manifest, TokenizerSpec
from models.convert import read_source
from models.convert.fill import fill_spec
from models.convert.tokens import Tokens
from models.writing import digests, write_manifest
from tests.call_templates import HERMES
from tests.engines.step import tiny

LETTERS = "▁abcdefghijklmnopqrstuvwxyz():=\n"
TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"


def write_tokenizer(folder: Path, *added: str, first_space: bool = False, size: int = tiny.VOCABULARY) -> None:
    """A token a letter, then those added, which are no control tokens (as in Qwen's files), and others up to a size."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizers.Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(LETTERS)}, merges=[]))
    spaces: list[Any] = [normalizers.Prepend("▁")] * first_space
    made.normalizer = normalizers.Sequence([*spaces, normalizers.Replace(" ", "▁")])
    made.add_special_tokens(["</s>"])
    made.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in added])
    made.add_special_tokens([f"<{i}>" for i in range(made.get_vocab_size(), size)])
    made.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))


def tokens_of(folder: Path) -> Tokens:
    return Tokens(read_source(folder), tiny.VOCABULARY)


def write_generator(folder: Path, *added: str, family: tiny.Family = tiny.FAMILIES["llama"], **tokens: Any) -> None:
    """A model folder; its engine is the one that takes the family."""
    write_tokenizer(folder, *added, **tokens)
    known = tokens_of(folder)
    tiny.write(folder, family)
    (folder / "vocabulary.json").write_text(json.dumps(known.vocabulary))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    manifest = Manifest(
        *(folder.name, "generation", "hub", "Random numbers.", "CC0-1.0", 1, 128, "int8_float32", 1),
        tokenizer=TokenizerSpec("huggingface", "tokenizer.json"),
        files=digests(folder),
        generation=GenerationSpec(("</s>",), "chat_template.jinja", fill=fill_spec(known)),
    )
    write_manifest(folder, manifest)


THINKER = """{%- for message in messages %}<|im_start|>{{ message.role + '\\n' }}
{%- if message.reasoning_content %}{{ '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}{{ '\\n<tool_call>\\n{"name": "' + call.function.name }}
{{- '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{ '}\\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}
{%- elif enable_thinking is defined %}{{ '<think>\\n' }}{% endif %}{% endif %}"""
"""As of Qwen 3 and its kin: thinks if it likes, opens a thought if told to, and is over it if told not to."""


def write_speaker(
    folder: Path, texts: Sequence[str], *added: str, size: int = 2000, template: str = HERMES, **generation: Any
) -> None:
    """A model of random numbers that calls tools as Qwen does: a vocabulary learnt from texts, all bytes in it, and
    tokens added that are no control tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    control = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=control, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    made.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in added])
    made.save(str(folder / "tokenizer.json"))
    vocabulary = [made.id_to_token(id) for id in range(made.get_vocab_size())]
    tiny.write(folder, tiny.FAMILIES["qwen2"], vocabulary=len(vocabulary))
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    (folder / "chat_template.jinja").write_text(template)
    manifest = Manifest(
        *(folder.name, "generation", "hub", "Random numbers.", "CC0-1.0", 1, 1024, "int8_float32", 1),
        tokenizer=TokenizerSpec("huggingface", "tokenizer.json"),
        files=digests(folder),
        generation=GenerationSpec(("<|im_end|>",), "chat_template.jinja", **generation),
    )
    write_manifest(folder, manifest)
