"""``/tokenize`` and ``/detokenize``: vLLM's shapes."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainValidator, model_validator

from server.api.schemas.base import RequestBody, ResponseBody, invalid, token_ids
from server.api.schemas.inert import HINTS, TEMPLATE
from server.api.schemas.messages import Message, Tool

ModelId = Annotated[
    str | None,
    Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Id of any model; without it the only generator, or else the only model.",
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
    tools: list[Tool] | None = Field(None, description="With `messages`: functions it may call.")
    add_special_tokens: bool = Field(True, description="With the tokens the model wants around a text.")
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
    """Tokens to read."""

    inert: ClassVar = HINTS

    model: ModelId
    tokens: Annotated[list[int], PlainValidator(_token_ids, json_schema_input_type=list[int])] = Field(
        description="Token ids.", examples=[[1, 2, 3]]
    )


class DetokenizeResponse(ResponseBody):
    """The text."""

    prompt: str


class TokenizerInfo(ResponseBody):
    """What a client has to know to write prompts itself."""

    tokenizer_class: str
    model: str
    model_max_length: int
    bos_token: str | None
    eos_token: str | None
    chat_template: str | None
