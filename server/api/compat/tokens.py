"""``POST /tokenize``, ``POST /detokenize`` and ``GET /tokenizer_info``: count before you send. vLLM's routes."""

from contextlib import suppress

from fastapi import APIRouter, Request, Response

from server.api.deps import RecordDep, RegistryDep
from server.api.request import JsonRoute
from server.api.schemas.messages import written
from server.api.schemas.tokens import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
    TokenizerInfo,
)
from server.errors import InvalidValue, ModelNotFound
from server.serving.registry import ModelRegistry
from server.tasks.model import Model
from server.tasks.offload import offload

router = APIRouter(route_class=JsonRoute, tags=["vLLM"])


@router.post("/tokenize", response_model=TokenizeResponse)
async def tokenize(request: Request, body: TokenizeRequest, registry: RegistryDep, record: RecordDep) -> Response:
    """Say which tokens a model reads."""
    model = _model(body.model, registry)
    record.serve(model.id)
    size = len(await request.body())
    written = await offload(lambda: _tokenized(body, model, registry).model_dump_json(), size)
    return Response(written, media_type="application/json")


def _tokenized(body: TokenizeRequest, model: Model, registry: ModelRegistry) -> TokenizeResponse:
    ids = _ids(body, model, registry)
    return TokenizeResponse(
        count=len(ids),
        max_model_len=model.card.context_length_tokens,
        tokens=ids,
        token_strs=model.tokenizer.tokens(ids) if body.return_token_strs else None,
    )


def _model(name: str | None, registry: ModelRegistry) -> Model:
    """The model of this name; clients that know servers of one model send none."""
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
    """Say what text tokens are."""
    model = _model(body.model, registry)
    record.serve(model.id)
    model.require_ids([body.tokens], "tokens")
    return DetokenizeResponse(prompt=await offload(lambda: model.tokenizer.decode(body.tokens), len(body.tokens)))


@router.get("/tokenizer_info")
async def tokenizer_info(registry: RegistryDep, record: RecordDep, model: str | None = None) -> TokenizerInfo:
    """Say what a client has to know that writes prompts itself."""
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
