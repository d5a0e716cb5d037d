"""Converts decoders that rank (Qwen3-Reranker): a decoder, with the prompt that its makers trained it with.

The prompt is of the model's page: no file of the repository has it. It is Qwen 3's chat template, with a system message
and an empty thought.
"""

from dataclasses import replace
from pathlib import Path

from models.cards import JudgeSpec
from models.convert import decoders
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.source import Source
from models.tokenizer_json import HuggingFaceTokenizer

PROMPT = JudgeSpec(
    begin="<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
    end="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    instruction="Given a web search query, retrieve relevant passages that answer the query",
)


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    made = decoders.convert(source, folder, request)
    tokenizer = HuggingFaceTokenizer(folder / made.tokenizer.file)
    try:
        for token in (PROMPT.yes, PROMPT.no, "<|im_start|>", "<|im_end|>", "<think>", "</think>"):
            tokenizer.id(token)
    except KeyError as error:
        raise CannotConvert(f"{source.repository} has no token {error}, which Qwen3-Reranker's prompt needs.") from None
    return replace(made, task="rerank", judge=PROMPT)
