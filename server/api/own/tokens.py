"""``POST /tokenize`` and ``POST /detokenize``: count before you send. vLLM's routes."""

from fastapi import APIRouter

from server.api.deps import RecordDep, ServicesDep
from server.api.reading import JsonRoute
from server.api.schemas.tokens import DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse
from server.errors import InvalidValue
from server.tasks.services import Services

router = APIRouter(route_class=JsonRoute, tags=["vLLM"])


@router.post("/tokenize")
async def tokenize(body: TokenizeRequest, services: ServicesDep, record: RecordDep) -> TokenizeResponse:
    """Say which tokens a model reads."""
    model = services.model(body.model)
    record.serve(model.id)
    ids = _ids(body, services)
    return TokenizeResponse(
        count=len(ids),
        max_model_len=model.card.context_length_tokens,
        tokens=ids,
        token_strs=model.tokenizer.tokens(ids) if body.return_token_strs else None,
    )


def _ids(body: TokenizeRequest, services: Services) -> list[int]:
    tokenizer = services.model(body.model).tokenizer
    if body.messages is not None:
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools] if body.tools else None
        messages = [message.model_dump(exclude_none=True) for message in body.messages]
        return services.generator(body.model).chat_prompt(messages, tools)
    text = body.prompt or ""
    card = services.model(body.model).card
    try:
        if not body.add_special_tokens:
            return tokenizer.encode(text)
        return services.generator(body.model).text_prompt(text) if card.generation else tokenizer.encode_row(text)
    except ValueError as error:
        raise InvalidValue(str(error), "prompt") from None


@router.post("/detokenize")
async def detokenize(body: DetokenizeRequest, services: ServicesDep, record: RecordDep) -> DetokenizeResponse:
    """Say what text tokens are."""
    model = services.model(body.model)
    record.serve(model.id)
    model.require_ids([body.tokens], "tokens")
    return DetokenizeResponse(prompt=model.tokenizer.decode(body.tokens))
