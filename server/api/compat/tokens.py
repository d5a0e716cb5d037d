"""``POST /tokenize``, ``POST /detokenize`` and ``GET /tokenizer_info``, as vLLM has them: to count before sending.

``/tokenize`` is text-embeddings-inference's too: with ``inputs`` it has that server's shape.
"""

from contextlib import suppress
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Body, Request, Response
from pydantic import Discriminator, Field, PlainValidator, Tag, model_validator
from pydantic_core import to_json

from server.api.compat.tei_shapes import InputsBody, TokenPlace, places_of
from server.api.deps import RecordDep, RegistryDep
from server.api.request import JsonRoute
from server.api.schemas.base import RequestBody, ResponseBody, invalid, token_ids
from server.api.schemas.inert import HINTS, TEMPLATE
from server.api.schemas.messages import Message, Tool, written
from server.errors import InvalidValue, ModelNotFound
from server.serving.registry import ModelRegistry
from server.tasks.model import Model
from server.tasks.offload import offload

ModelId = Annotated[
    str | None,
    Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Id of any model. If it is left out: the only generator, or else the only model.",
        examples=["assistant"],
    ),
]


def _token_ids(value: Any) -> list[int]:
    if not isinstance(value, list):
        raise ValueError("send a list of token ids")
    return token_ids(value, "item")


class TokenizeRequest(RequestBody):
    """A text or a conversation to count."""

    inert: ClassVar = {**HINTS, **TEMPLATE, "tools": ([],), "with_pieces": (False,), "parse_special": (False,)}

    model: ModelId
    prompt: str | None = Field(None, description="A text.", examples=["Good morning."])
    messages: list[Message] | None = Field(None, min_length=1, description="A conversation, instead of a text.")
    tools: list[Tool] | None = Field(None, description="With `messages`: functions that the model may call.")
    add_special_tokens: bool = Field(True, description="Add the tokens that the model expects around a text.")
    return_token_strs: bool = Field(False, description="Also as strings.", examples=[True])

    @model_validator(mode="after")
    def _one_input(self) -> "TokenizeRequest":
        if (self.prompt is None) == (self.messages is None):
            raise invalid("prompt", "send either 'prompt' or 'messages'")
        if self.tools is not None and self.messages is None:
            raise invalid("tools", "only go with 'messages'")
        return self


class TokenizeResponse(ResponseBody):
    """The tokens."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None


class DetokenizeRequest(RequestBody):
    """Tokens to turn into text."""

    inert: ClassVar = HINTS

    model: ModelId
    tokens: Annotated[list[int], PlainValidator(_token_ids, json_schema_input_type=list[int])] = Field(
        description="Token ids.", examples=[[1, 2, 3]]
    )


class DetokenizeResponse(ResponseBody):
    """The text."""

    prompt: str


class TokenizerInfo(ResponseBody):
    """The facts that a client needs to write prompts itself."""

    tokenizer_class: str
    model: str
    model_max_length: int
    bos_token: str | None
    eos_token: str | None
    chat_template: str | None


router = APIRouter(route_class=JsonRoute, tags=["vLLM"])


def _shape_of(body: Any) -> str:
    has_inputs = isinstance(body, InputsBody) or (isinstance(body, dict) and body.get("inputs") is not None)
    return "@inputs" if has_inputs else "@prompt"


EitherBody = Annotated[
    Annotated[TokenizeRequest, Tag("@prompt")] | Annotated[InputsBody, Tag("@inputs")], Discriminator(_shape_of), Body()
]


@router.post("/tokenize", response_model=TokenizeResponse | list[list[TokenPlace]])
async def tokenize(request: Request, body: EitherBody, registry: RegistryDep, record: RecordDep) -> Response:
    """List the tokens that a model reads: of a text or a conversation in vLLM's shape, of `inputs` in
    text-embeddings-inference's.
    """
    model = _model(body.model, registry)
    record.serve(model.id)
    size = len(await request.body())

    def written() -> bytes:
        if isinstance(body, InputsBody):
            return to_json(places_of(body, model))
        return _tokenized(body, model, registry).model_dump_json().encode()

    return Response(await offload(written, size), media_type="application/json")


def _tokenized(body: TokenizeRequest, model: Model, registry: ModelRegistry) -> TokenizeResponse:
    ids = _ids(body, model, registry)
    return TokenizeResponse(
        count=len(ids),
        max_model_len=model.card.context_length_tokens,
        tokens=ids,
        token_strs=model.tokenizer.tokens(ids) if body.return_token_strs else None,
    )


def _model(name: str | None, registry: ModelRegistry) -> Model:
    """The model of this name. Clients written for servers of one model send no name."""
    if name is None:
        with suppress(ModelNotFound):
            name = registry.generator(None).card.id
    return registry.model(name)


def _ids(body: TokenizeRequest, model: Model, registry: ModelRegistry) -> list[int]:
    tokenizer, card = model.tokenizer, model.card
    if body.messages is not None:
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools] if body.tools else None
        messages = [written(message) for message in body.messages]
        return registry.generator(card.id).chat_prompt(messages, tools).ids
    text = body.prompt or ""
    try:
        if not body.add_special_tokens:
            return tokenizer.encode(text)
        return registry.generator(card.id).text_prompt(text) if card.generation else tokenizer.encode_row(text)
    except ValueError as error:
        raise InvalidValue(str(error), "prompt") from None


@router.post("/detokenize")
async def detokenize(body: DetokenizeRequest, registry: RegistryDep, record: RecordDep) -> DetokenizeResponse:
    """Turn tokens into text."""
    model = _model(body.model, registry)
    record.serve(model.id)
    model.require_ids([body.tokens], "tokens")
    return DetokenizeResponse(prompt=await offload(lambda: model.tokenizer.decode(body.tokens), len(body.tokens)))


@router.get("/tokenizer_info")
async def tokenizer_info(registry: RegistryDep, record: RecordDep, model: str | None = None) -> TokenizerInfo:
    """Give the facts that a client needs to write prompts itself."""
    found = _model(model, registry)
    if record.key_user is not None:
        record.key_user.require(found.id)
    card = found.card
    section = card.generation
    return TokenizerInfo(
        tokenizer_class=card.tokenizer.kind,
        model=card.id,
        model_max_length=card.context_length_tokens,
        bos_token=section.bos_token if section else None,
        eos_token=section.stop_tokens[0] if section and section.stop_tokens else None,
        chat_template=card.path(section.template).read_text("utf-8") if section and section.template else None,
    )
