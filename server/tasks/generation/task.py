"""Text from a generator: prompts to rows, tokens back to text, with stops, log-probabilities and tool calls.

Knows no HTTP and no threads. Every refusal is raised by ``begin``, before anything is queued.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

from models.registry import ModelCard
from models.signatures import Signature
from server.engines.rows import GenerationRow, Sampling, Token
from server.errors import BadRequest, ContextLengthExceeded, InvalidValue, UnsupportedParameter
from server.tasks.generation.calling import Calling, CallReader, Ways
from server.tasks.generation.chat_template import ChatTemplate
from server.tasks.generation.completion import GenerationStream
from server.tasks.generation.fill import Filling
from server.tasks.generation.options import ON_THE_WIRE, GenerationOptions
from server.tasks.model import Model
from server.tasks.offload import ITEM_CHARACTERS, SMALL_CHARACTERS, offload, size_of
from server.tasks.results import TokenLogprobs, TokenTexts


class Generation:
    """Chat and completions on one generator."""

    def __init__(self, model: Model, template: ChatTemplate | None, family: ModuleType) -> None:
        self._model = model
        self._template = template
        self._family = family
        self._calling = Calling(model, family)
        self._told = TokenTexts(model.tokenizer)
        section = model.card.generation
        tokenizer = model.tokenizer
        stops = section.stop_tokens if section is not None else ()
        self._stop_ids = frozenset(tokenizer.id(token) for token in stops)
        self._bos = [tokenizer.id(section.bos_token)] if section is not None and section.bos_token else []
        self._eos = [tokenizer.id(section.eos_token)] if section is not None and section.eos_token else []
        fill = section.fill if section is not None else None
        self._filling = Filling(fill, tokenizer) if fill is not None else None
        # An encoder-decoder's answer does not share the context with the prompt, nor go on with its text.
        self._most_made = section.max_target_tokens if section is not None else None

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    def chat_prompt(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
    ) -> list[int]:
        """The ids of a conversation, up to the beginning of the assistant's turn.

        Raises:
            InvalidValue: the model's template does not take these messages.
            BadRequest: the model has no chat template.
        """
        if self._template is None:
            raise BadRequest(f"The model '{self.card.id}' has no chat template; use /v1/completions.", "model")
        segments = self._template.render(self._read(messages), tools)
        return self._encode(lambda: self._model.tokenizer.encode_with_specials(segments), "messages") + self._eos

    async def text_prompts(self, prompts: Sequence[str | Sequence[int]]) -> list[list[int]]:
        """The ids of texts to continue, as ``text_prompt``; ids stay as they are. Long texts take a thread."""

        def write() -> list[list[int]]:
            return [self.text_prompt(prompt) if isinstance(prompt, str) else list(prompt) for prompt in prompts]

        return await offload(write, size_of([prompt for prompt in prompts if isinstance(prompt, str)]))

    async def gap_prompts(self, befores: Sequence[str], after: str) -> list[list[int]]:
        """The ids that ask for what belongs between each of the texts and the one after.

        Raises:
            UnsupportedParameter: the model has no tokens to fill gaps with.
            InvalidValue: a text is no Unicode text.
        """
        fill = self._filling
        if fill is None:
            raise UnsupportedParameter("suffix", f"'{self.card.id}' has no tokens to fill a gap with; leave it out.")
        return await offload(
            lambda: [self._bos + self._encode(partial(fill.prompt, before, after), "prompt") for before in befores],
            size_of(befores) + len(after) * len(befores),
        )

    def text_prompt(self, text: str) -> list[int]:
        """The ids of plain text to continue; an empty text is the beginning of one."""
        return self._bos + self._encode(lambda: self._model.tokenizer.encode(text), "prompt") + self._eos

    def prompt_tokens(self, ids: Sequence[int], scored: TokenLogprobs, prompt: str | Sequence[int]) -> TokenLogprobs:
        """All tokens of a prompt that was scored: those of its text, or all of its ids.

        Args:
            ids: the prompt as the model read it.
            scored: its tokens but the first, from ``GenerationStream.prompt_tokens``.
            prompt: as it was given: a text has no token that begins it.
        """
        if isinstance(prompt, str) and self._bos:
            return scored
        return TokenLogprobs([Token(ids[0]), *scored.tokens], self._told)

    async def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        options: GenerationOptions,
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        call_required: bool = False,
        several_calls: bool = True,
    ) -> GenerationStream:
        """Queue a conversation; raises as ``chat_prompt`` and ``begin`` do.

        Args:
            messages, tools: in OpenAI's form.
            options: how to decode.
            call_required: the answer is a call of one of the tools.
            several_calls: it may be several.
        """
        form = options.grammar

        def prepare() -> tuple[list[int], Sequence[Signature], str | Ways | None]:
            prompt = self.chat_prompt(messages, tools)
            calling = self._calling.prepared(form, tools or (), required=call_required, several=several_calls)
            return prompt, *calling

        self._require_honoured(options)
        if tools:
            self._calling.require(tools, required=call_required, several=several_calls)
        # A schema that was not asked for before takes some milliseconds: not on the event loop.
        size = size_in(messages) if not tools and form is None else SMALL_CHARACTERS + 1
        prompt, signatures, grammar = await offload(prepare, size)
        if isinstance(grammar, Ways):
            return await self._begin_either(prompt, options, signatures, grammar)
        return self.begin([prompt], options, "messages", signatures, grammars=[grammar])

    async def _begin_either(
        self, prompt: Sequence[int], options: GenerationOptions, tools: Sequence[Signature], ways: Ways
    ) -> GenerationStream:
        """Decode the first tokens without the form. Queue for calls if they begin one, else for text."""
        self._max_tokens(len(prompt), options.max_tokens, options.min_tokens, "messages")
        most = CallReader.of(self._family, self._model.tokenizer, tools).begins_tokens
        beginning = replace(options, max_tokens=most, min_tokens=0, stop=(), logprobs=None)
        undecided = self.begin([prompt], beginning, "messages", tools, grammars=[ways.undecided])
        await undecided.whole()
        return self.begin([prompt], options, "messages", tools, grammars=[ways.of(calls) for calls in undecided.calls])

    def begin(
        self,
        prompts: Sequence[Sequence[int]],
        options: GenerationOptions,
        field: str = "messages",
        tools: Sequence[Signature] = (),
        *,
        grammars: Sequence[str | None] = (None,),
        fills: bool = False,
    ) -> GenerationStream:
        """Queue the prompts, ``options.n`` completions each; choice ``p * n + i`` is the ith of prompt p.

        Args:
            prompts: their ids.
            options: how to decode.
            field: what the request calls the prompts.
            tools: what may be called.
            grammars: what the answers have to obey, in llguidance's Lark: one for all choices, or one for each.
            fills: the prompts are of ``gap_prompts``.

        Raises:
            Unavailable, Overloaded: not now.
            UnsupportedParameter: the model's engine cannot honour a parameter exactly.
            ContextLengthExceeded, InvalidValue: a prompt is too long, empty or has ids that are none.
        """
        self._model.require_ready()
        self._require_honoured(options)
        self._model.require_ids(prompts, field)
        self._model.require_ids([tuple(options.logit_bias)], "logit_bias")
        if self._most_made is not None:
            self._model.require_fits(prompts, field)
        reader = CallReader.of(self._family, self._model.tokenizer, tools)
        banned = reader.stop_ids if "logit_bias" in self._model.engine.honours else frozenset()
        for id in sorted(banned & options.logit_bias.keys()):
            if options.logit_bias[id] > 0:
                raise InvalidValue("This token is never written in such a completion.", f"logit_bias.{id}")
        if any(grammars) and options.ignore_eos:
            raise UnsupportedParameter("ignore_eos", "an answer that obeys a grammar ends where the grammar does.")
        stop_ids = frozenset() if options.ignore_eos else self._stop_ids | reader.stop_ids
        if fills and self._filling is not None and not options.ignore_eos:
            stop_ids |= self._filling.stop_ids
        rows = [
            GenerationRow(
                prompt=tuple(prompt),
                max_tokens=self._max_tokens(len(prompt), options.max_tokens, options.min_tokens, field),
                stop_ids=stop_ids,
                min_tokens=options.min_tokens,
                sampling=_sampling(options, choice, banned),
                logprobs=options.logprobs if options.logprobs is not None or not options.prompt_logprobs else 0,
                grammar=grammars[choice % len(grammars)],
                score_from=1 if options.prompt_logprobs and choice == 0 else None,
            )
            for prompt in prompts
            for choice in range(options.n)
        ]
        job = self._model.batcher.submit(rows)
        prompt_tokens = sum(len(prompt) for prompt in prompts)
        return GenerationStream(
            job,
            self._model.tokenizer,
            self._told,
            prompt_tokens=prompt_tokens,
            stop_ids=stop_ids,
            stops=options.stop,
            logprobs=options.logprobs is not None,
            reader=reader,
            continues_text=field == "prompt" and self._most_made is None,
        )

    def _read(self, messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The messages as the family's template takes them: a family may write calls and results its own way."""
        if not hasattr(self._family, "chat_messages"):
            return messages
        try:
            adapted: Sequence[Mapping[str, Any]] = self._family.template_messages(self._family.chat_messages(messages))
        except json.JSONDecodeError:
            raise InvalidValue("The arguments of a call in the messages are not JSON.", "messages") from None
        except ValueError as error:
            raise InvalidValue(f"The messages cannot be written for this model: {error}", "messages") from None
        return adapted

    def _max_tokens(self, prompt_tokens: int, asked: int | None, at_least: int, field: str) -> int:
        """The most tokens that a row makes: as many as were asked for, as far as there is room."""
        context = self.card.context_length_tokens
        if prompt_tokens == 0:
            raise InvalidValue("The prompt has no tokens; send at least one.", field)
        room = context - prompt_tokens if self._most_made is None else self._most_made
        least = 0 if asked == 0 else 1
        if room < least:
            raise ContextLengthExceeded(prompt_tokens, least, context, field)
        most = room if asked is None else min(asked, room)
        if at_least > most:
            raise InvalidValue(f"At least {at_least} tokens are asked for, but {most} at most.", "min_tokens")
        return most

    def _require_honoured(self, options: GenerationOptions) -> None:
        for name in sorted(options.asked() - self._model.engine.honours):
            raise UnsupportedParameter(
                ON_THE_WIRE.get(name, name),
                f"the model '{self.card.id}' runs on an engine that cannot do it exactly for one request.",
            )
        if options.logprobs and "top_logprobs" not in self._model.engine.honours:
            raise UnsupportedParameter(
                "top_logprobs", f"the model '{self.card.id}' runs on an engine that gives the chosen token's only."
            )

    def _encode(self, encode: Any, field: str) -> list[int]:
        try:
            ids: list[int] = encode()
        except ValueError as error:
            raise InvalidValue(str(error), field) from None
        return ids


def size_in(value: Any) -> int:
    """How large JSON-like data is, for ``offload``: all of its texts and items, as far as it takes to find it large."""
    size = 0
    inner = [value]
    for each in inner:  # it grows meanwhile
        size += len(each) if isinstance(each, str) else ITEM_CHARACTERS
        if size > SMALL_CHARACTERS:
            break
        if isinstance(each, Mapping):
            inner.extend(each.values())
        elif isinstance(each, list | tuple):
            inner.extend(each)
    return size


def _sampling(options: GenerationOptions, choice: int, banned: Iterable[int]) -> Sampling:
    """Each choice of a seeded request has a seed of its own, or all would be the same."""
    return Sampling(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        bias={**options.logit_bias, **dict.fromkeys(banned, -100.0)},
        seed=None if options.seed is None else options.seed + choice,
    )
