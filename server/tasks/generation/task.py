"""The generation task: makes rows of prompts, queues them, and returns streams of text, log-probabilities and calls.

This module knows no HTTP and no threads. Every refusal is raised before a row is queued.
"""

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
from server.tasks.generation.conversation import ChatPrompt, Conversation
from server.tasks.generation.fill import Filling
from server.tasks.generation.options import ON_THE_WIRE, GenerationOptions, recommendations
from server.tasks.model import Model
from server.tasks.offload import ITEM_CHARACTERS, SMALL_CHARACTERS, offload, size_of
from server.tasks.results import TokenLogprobs, TokenTexts


class Generation:
    """Chat and text completions on one generator."""

    def __init__(self, model: Model, template: ChatTemplate | None, family: ModuleType) -> None:
        self._model = model
        self._template = template
        self._conversation = None
        if template is not None:
            stops = model.card.generation.stop_tokens if model.card.generation is not None else ()
            self._conversation = Conversation(template, family, model.tokenizer, stops)
        self._manner = self._conversation.manner if self._conversation is not None else None
        self._calling = Calling(model, self._manner)
        self._told = TokenTexts(model.tokenizer)
        section = model.card.generation
        tokenizer = model.tokenizer
        stops = section.stop_tokens if section is not None else ()
        self._stop_ids = frozenset(tokenizer.id(token) for token in stops)
        self._bos = [tokenizer.id(section.bos_token)] if section is not None and section.bos_token else []
        self._eos = [tokenizer.id(section.eos_token)] if section is not None and section.eos_token else []
        fill = section.fill if section is not None else None
        self._filling = Filling(fill, tokenizer) if fill is not None else None
        # The answer of an encoder-decoder neither shares the context with the prompt nor continues the prompt's text.
        self._most_made = section.max_target_tokens if section is not None else None

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def honours(self) -> frozenset[str]:
        """The request parameters that the model's engine honours exactly."""
        return self._model.engine.honours

    @property
    def template_source(self) -> str:
        """The text of the chat template; empty without one."""
        return self._template.source if self._template is not None else ""

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids that end an answer."""
        return self._stop_ids

    @property
    def calls_tools(self) -> bool:
        """Whether the model's syntax of calls is known."""
        return self._calling.known

    def effective(self, options: GenerationOptions) -> GenerationOptions:
        """The options, with the model makers' recommended values for sampling parameters that the request leaves out.

        A recommendation that the engine does not honour is ignored, because the client did not ask for it.
        """
        section = self.card.generation
        known = recommendations(section.sampling, self._model.engine.honours) if section is not None else {}
        named = {name: value for name, value in known.items() if name in options.left}
        return replace(options, left=frozenset(), **named)

    @property
    def thinks(self) -> bool:
        """Whether the chat template shows how the model thinks."""
        return self._conversation is not None and self._conversation.thinking.can

    def chat_prompt(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        options: GenerationOptions | None = None,
    ) -> ChatPrompt:
        """The token ids of a conversation, up to the beginning of the assistant's answer or thought.

        Raises:
            InvalidValue: the model's template does not take these messages.
            BadRequest: the model has no chat template.
            UnsupportedParameter: the template has no switch for the thinking that the request asks for.
        """
        if self._conversation is None:
            raise BadRequest(f"The model '{self.card.id}' has no chat template; use /v1/completions.", "model")
        prompt = self._conversation.prompt(messages, tools, options or GenerationOptions(), self.card.id)
        return replace(prompt, ids=[*prompt.ids, *self._eos])

    def chat_text(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """A conversation as the chat template writes it, with its special tokens as text.

        Raises:
            InvalidValue: the template does not take these messages.
            BadRequest: the model has no chat template.
        """
        if self._template is None:
            raise BadRequest(f"The model '{self.card.id}' has no chat template.", "model")
        return self._template.text(messages)

    async def text_prompts(self, prompts: Sequence[str | Sequence[int]]) -> list[list[int]]:
        """The token ids of texts to continue, one list for each prompt; prompts of ids stay as they are.

        Long texts are encoded in a thread.

        Raises:
            InvalidValue: a text is not valid Unicode.
        """

        def write() -> list[list[int]]:
            return [self.text_prompt(prompt) if isinstance(prompt, str) else list(prompt) for prompt in prompts]

        return await offload(write, size_of([prompt for prompt in prompts if isinstance(prompt, str)]))

    async def gap_prompts(self, befores: Sequence[str], after: str) -> list[list[int]]:
        """The token ids that ask for the text between each of ``befores`` and ``after``.

        Raises:
            UnsupportedParameter: the model has no tokens to fill gaps with.
            InvalidValue: a text is not valid Unicode.
        """
        fill = self._filling
        if fill is None:
            raise UnsupportedParameter("suffix", f"'{self.card.id}' has no tokens to fill a gap with; leave it out.")
        return await offload(
            lambda: [self._bos + self._encode(partial(fill.prompt, before, after), "prompt") for before in befores],
            size_of(befores) + len(after) * len(befores),
        )

    def text_prompt(self, text: str) -> list[int]:
        """The token ids of plain text to continue; an empty text gives only the tokens around a text.

        Raises:
            InvalidValue: the text is not valid Unicode.
        """
        return self._bos + self._encode(lambda: self._model.tokenizer.encode(text), "prompt") + self._eos

    def prompt_tokens(self, ids: Sequence[int], scored: TokenLogprobs, prompt: str | Sequence[int]) -> TokenLogprobs:
        """All tokens of a scored prompt that the client gave, with their log-probabilities.

        Args:
            ids: the prompt as the model read it.
            scored: the prompt's tokens except the first, from ``GenerationStream.prompt_tokens``.
            prompt: the prompt as the client gave it. If it is a text, the BOS token is left out of the result.
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
        """Queue a conversation.

        Args:
            messages, tools: in OpenAI's form.
            options: the parameters of decoding.
            call_required: the answer must be a call of one of the tools.
            several_calls: the answer may have more than one call.

        Raises:
            ServerError: as ``chat_prompt``, ``Calling.require``, ``Calling.prepared`` and ``begin``.
        """
        form = options.grammar

        def prepare() -> tuple[ChatPrompt, Sequence[Signature], str | Ways | None]:
            prompt = self.chat_prompt(messages, tools, options)
            calling = self._calling.prepared(form, tools or (), required=call_required, several=several_calls)
            return prompt, *calling

        self._require_honoured(options)
        if tools:
            self._calling.require(tools, required=call_required, several=several_calls)
        # A schema that is not cached takes some milliseconds, so it is not read on the event loop.
        size = size_in(messages) if not tools and form is None else SMALL_CHARACTERS + 1
        prompt, signatures, grammar = await offload(prepare, size)
        if isinstance(grammar, Ways) and prompt.thoughts is None:
            return await self._begin_either(prompt.ids, options, signatures, grammar)
        # A model that thinks decides on calls or text during its thought.
        grammar = grammar.either if isinstance(grammar, Ways) else grammar
        return self.begin([prompt.ids], options, "messages", signatures, grammars=[grammar], said=prompt)

    async def _begin_either(
        self, prompt: Sequence[int], options: GenerationOptions, tools: Sequence[Signature], ways: Ways
    ) -> GenerationStream:
        """Decode the first tokens without the form. If they begin a call, queue the prompt for calls, else for text."""
        self._max_tokens(len(prompt), options.max_tokens, options.min_tokens, "messages")
        most = CallReader.of(self._manner, self._model.tokenizer, tools).begins_tokens
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
        said: ChatPrompt | None = None,
    ) -> GenerationStream:
        """Queue the prompts, ``options.n`` completions each; choice ``p * n + i`` is the ith of prompt p.

        Args:
            prompts: the token ids of each prompt.
            options: the parameters of decoding.
            field: the request's field that holds the prompts.
            tools: the signatures of the tools that the model may call.
            grammars: the grammars of the answers, in llguidance's Lark: one for all choices, or one for each.
            fills: the prompts come from ``gap_prompts``.
            said: the conversation that the one prompt was made of.

        Raises:
            Unavailable: the model has failed or is no longer served.
            Overloaded: the queue is full.
            UnsupportedParameter: the model's engine cannot honour a parameter exactly.
            ContextLengthExceeded: a prompt leaves no room in the context.
            InvalidValue: a prompt is empty or has unknown ids, or a parameter has a value that is out of range.
        """
        self._model.require_ready()
        self._require_honoured(options)
        self._model.require_ids(prompts, field)
        self._model.require_ids([tuple(options.logit_bias)], "logit_bias")
        if self._most_made is not None:
            self._model.require_fits(prompts, field)
        reader = CallReader.of(self._manner, self._model.tokenizer, tools)
        banned = reader.stop_ids if "logit_bias" in self._model.engine.honours else frozenset()
        for id in sorted(banned & options.logit_bias.keys()):
            if options.logit_bias[id] > 0:
                raise InvalidValue("This token is never written in such a completion.", f"logit_bias.{id}")
        if any(grammars) and options.ignore_eos:
            raise UnsupportedParameter("ignore_eos", "an answer that obeys a grammar ends where the grammar does.")
        stop_ids = frozenset() if options.ignore_eos else self._stop_ids | reader.stop_ids
        if fills and self._filling is not None and not options.ignore_eos:
            stop_ids |= self._filling.stop_ids
        thoughts = said.thoughts if said is not None else None
        thought = None
        if self._conversation is not None and thoughts and (any(grammars) or options.thinking_budget is not None):
            thought = self._conversation.thought(thoughts, options.thinking_budget)
        rows = [
            GenerationRow(
                prompt=tuple(prompt),
                max_tokens=self._max_tokens(len(prompt), options.max_tokens, options.min_tokens, field),
                stop_ids=stop_ids,
                min_tokens=options.min_tokens,
                sampling=_sampling(options, choice, banned),
                logprobs=options.logprobs if options.logprobs is not None or not options.prompt_logprobs else 0,
                grammar=grammars[choice % len(grammars)],
                thought=thought,
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
            thoughts=thoughts if options.reasoning.apart else None,
        )

    def _max_tokens(self, prompt_tokens: int, asked: int | None, at_least: int, field: str) -> int:
        """The most tokens that a row may make: as many as the request asks for, but no more than have room.

        Raises:
            InvalidValue: the prompt is empty, or ``min_tokens`` is larger than the result.
            ContextLengthExceeded: the prompt leaves no room in the context.
        """
        context = self.card.context_length_tokens
        if prompt_tokens == 0:
            raise InvalidValue("The prompt has no tokens; send at least one.", field)
        room = context - prompt_tokens if self._most_made is None else self._most_made
        least = 0 if asked == 0 else 1
        if room < least:
            raise ContextLengthExceeded(prompt_tokens, least, context, field)
        most = room if asked is None else min(asked, room)
        if at_least > most:
            raise InvalidValue(f"'min_tokens' is {at_least}, but the answer has {most} tokens at most.", "min_tokens")
        return most

    def _require_honoured(self, options: GenerationOptions) -> None:
        for name in sorted(options.asked() - self._model.engine.honours):
            raise UnsupportedParameter(
                ON_THE_WIRE.get(name, name),
                f"the model '{self.card.id}' runs on an engine that cannot apply it exactly to a single request.",
            )
        if options.logprobs and "top_logprobs" not in self._model.engine.honours:
            raise UnsupportedParameter(
                "top_logprobs", f"the model '{self.card.id}' runs on an engine that returns only the chosen token's."
            )

    def _encode(self, encode: Any, field: str) -> list[int]:
        try:
            ids: list[int] = encode()
        except ValueError as error:
            raise InvalidValue(str(error), field) from None
        return ids


def size_in(value: Any) -> int:
    """The size of JSON-like data in characters, for ``offload``. Counting stops when the data is found to be large."""
    size = 0
    inner = [value]
    for each in inner:  # the loop appends to this list
        size += len(each) if isinstance(each, str) else ITEM_CHARACTERS
        if size > SMALL_CHARACTERS:
            break
        if isinstance(each, Mapping):
            inner.extend(each.values())
        elif isinstance(each, list | tuple):
            inner.extend(each)
    return size


def _sampling(options: GenerationOptions, choice: int, banned: Iterable[int]) -> Sampling:
    """The sampling of one choice. Each choice of a seeded request gets its own seed, or all choices would be equal."""
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
