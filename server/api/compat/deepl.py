"""DeepL's routes: ``/v2/translate``, ``/v2/languages``, ``/v2/usage``; JSON and forms, for its own clients."""

from typing import Any, ClassVar, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from server.api.compat.names import english_name
from server.api.compat.peer import PeerBody, PeerRoute
from server.api.deps import MetricsDep, RecordDep, ServicesDep, SettingsDep, require_items
from server.api.schemas.base import Texts, as_list, refuse
from server.errors import ServerError

UNLIMITED_CHARACTERS = 10**12
"""What ``/v2/usage`` states as the limit: its clients need a number."""


class DeeplRoute(PeerRoute):
    """Errors are ``{"message": …}``."""

    statuses: ClassVar[dict[int, int]] = {401: 403}

    @staticmethod
    def shape(error: ServerError) -> dict[str, Any]:
        """The body of an error."""
        return {"message": error.message}


router = APIRouter(route_class=DeeplRoute, tags=["DeepL"])


class DeeplBody(PeerBody):
    """Texts to translate."""

    neutral = {  # noqa: RUF012  a table of the base class
        "split_sentences": ("1", 1, True),
        "preserve_formatting": ("0", "1", False, True),  # spacing and paragraphs are always kept
        "formality": ("default",),
        "model_type": ("latency_optimized", "prefer_quality_optimized"),
        "glossary_id": (),
        "tag_handling": (),
        "context": ("",),
        "auth_key": (),
    }

    text: Texts = Field(description="The texts.", examples=[["Good morning."]])
    target_lang: str = Field(description="The language to translate to.", examples=["DE"])
    source_lang: str | None = Field(None, description="Their language; detected when left out.", examples=["EN"])
    show_billed_characters: bool = Field(True, description="Accepted; the count is always sent.", examples=[True])
    enable_beta_languages: Literal[False] = Field(False, description="There are none.", examples=[False])

    @model_validator(mode="after")
    def _check(self) -> "DeeplBody":
        for field in ("source_lang", "target_lang"):
            code = getattr(self, field)
            if code is not None and not code.replace("-", "").isalnum():
                refuse(field, "it is no language code.")
        return self


@router.post("/v2/translate")
async def translate(body: DeeplBody, services: ServicesDep, settings: SettingsDep, record: RecordDep) -> JSONResponse:
    """Translate as DeepL does. Regional targets (``EN-US``, ``PT-BR``) give the language itself."""
    texts = as_list(body.text)
    require_items(len(texts), settings, "text")
    task = services.translator(None)
    record.serve(task.card.id)
    source = _plain(body.source_lang) if body.source_lang else None
    done = await task.translate(texts, source, _plain(body.target_lang))
    record.finish_translation(texts, done)
    translations = [
        {
            "detected_source_language": item.source.upper(),
            "text": item.text,
            "billed_characters": len(text),
        }
        for text, item in zip(texts, done.items, strict=True)
    ]
    return JSONResponse({"translations": translations})


@router.get("/v2/languages")
async def languages(services: ServicesDep, type: Literal["source", "target"] = "source") -> JSONResponse:
    """List the languages that can be read or written."""
    listed = []
    for code in services.translator(None).languages:
        language: dict[str, Any] = {"language": code.upper(), "name": english_name(code)}
        if type == "target":
            language["supports_formality"] = False
        listed.append(language)
    return JSONResponse(listed)


@router.get("/v2/usage")
async def usage(metrics: MetricsDep) -> JSONResponse:
    """Say how many characters have been translated since the start; there is no limit."""
    characters = int(metrics.total("translated_characters_total"))
    return JSONResponse({"character_count": characters, "character_limit": UNLIMITED_CHARACTERS})


def _plain(code: str) -> str:
    """DeepL's code as ours: ``EN-US`` is ``en``."""
    return code.partition("-")[0].lower()
