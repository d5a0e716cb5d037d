"""DeepL's routes in JSON and forms, for its own clients: ``/v2/translate``, ``/v2/document``, ``/v2/languages``,
``/v2/usage``.
"""

import hmac
import logging
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, Field, model_validator

from server.api.auth import require_key
from server.api.compat.peer import (
    Kept,
    KeptFiles,
    PeerBody,
    PeerRoute,
    Upload,
    answer_file,
    form_with_file,
    owner_of,
    read_upload,
)
from server.api.deps import MetricsDep, RecordDep, RegistryDep, SettingsDep, registry_of, require_items
from server.api.record import Record
from server.api.schemas.base import Texts, as_list, refuse
from server.errors import InvalidValue, RouteNotFound, ServerError, Unavailable, UnsupportedParameter
from server.metrics import Metrics
from server.tasks import documents
from server.tasks.offload import offload, size_of
from server.tasks.text.language import english_name
from server.tasks.translation.markup import Rules, cut
from server.tasks.translation.progress import TranslationOptions
from server.tasks.translation.task import TranslationTask

log = logging.getLogger(__name__)

UNLIMITED_CHARACTERS = 10**12
"""The limit in ``/v2/usage``: its clients need a number."""


router = APIRouter(route_class=PeerRoute, tags=["DeepL"])


def _tag_names(value: Any) -> Any:
    """Names as DeepL's clients write them: a list, or one text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        return value
    return tuple(name.strip() for part in parts for name in part.split(",") if name.strip())


TagNames = Annotated[tuple[str, ...], BeforeValidator(_tag_names)]


class DeeplBody(PeerBody):
    """Texts to translate."""

    inert: ClassVar = {
        "preserve_formatting": ("0", "1", False, True),  # spacing and paragraphs are always kept
        "formality": ("default", "prefer_more", "prefer_less"),  # preferred where a language has it; none has here
        "model_type": ("latency_optimized", "prefer_quality_optimized"),
        "tag_handling_version": ("v1", "v2"),
        "context": ("",),
        "custom_instructions": ([], ""),
    }
    neutral: ClassVar = {"glossary_id": ("",), "style_id": ("",), "translation_memory_id": ("",)}

    text: Texts = Field(description="The texts.", examples=[["Good morning."]])
    target_lang: str = Field(description="The language to translate to.", examples=["DE"])
    source_lang: str | None = Field(None, description="Their language; detected when left out.", examples=["EN"])
    show_billed_characters: bool = Field(True, description="Accepted; the count is always sent.", examples=[True])
    split_sentences: Literal["1", "nonewlines"] | None = Field(
        None,
        description="Sentences are always split; `nonewlines`, with tags only: not at line breaks.",
        examples=["1"],
    )
    tag_handling: Literal["xml", "html"] | None = Field(
        None, description="What the texts are; plain text when left out.", examples=["xml"]
    )
    outline_detection: bool = Field(
        True, description="XML: elements that do not stand among text split sentences.", examples=[True]
    )
    splitting_tags: TagNames = Field((), description="Tags that split sentences.", examples=[["par"]])
    non_splitting_tags: TagNames = Field((), description="Tags that do not.", examples=[["em"]])
    ignore_tags: TagNames = Field((), description="Tags whose content is not translated.", examples=[["code"]])
    auth_key: str = Field("", description="The API key, where one is needed.", examples=[""])
    enable_beta_languages: Literal[False] = Field(False, description="There are none.", examples=[False])

    @model_validator(mode="after")
    def _check(self) -> "DeeplBody":
        for field in ("source_lang", "target_lang"):
            code = getattr(self, field)
            if code is not None and not code.replace("-", "").isalnum():
                refuse(field, "it is no language code.")
        if self.tag_handling is None:
            for field in ("splitting_tags", "non_splitting_tags", "ignore_tags"):
                if getattr(self, field):
                    refuse(field, "it goes with 'tag_handling'.")
            if self.split_sentences == "nonewlines":
                refuse("split_sentences", "'nonewlines' goes with 'tag_handling'; lines of plain text stay lines.")
        if self.tag_handling != "xml" and not self.outline_detection:
            refuse("outline_detection", "it goes with 'tag_handling': 'xml'.")
        return self

    @property
    def rules(self) -> Rules | None:
        """Which elements are what."""
        if self.tag_handling is None:
            return None
        is_xml = self.tag_handling == "xml"
        return Rules(
            is_xml=is_xml,
            ignored=self.ignore_tags,
            splitting=self.splitting_tags,
            non_splitting=self.non_splitting_tags,
            lines=is_xml and self.split_sentences != "nonewlines",
            outline=self.outline_detection,
        )


@router.post("/v2/translate")
async def translate(
    request: Request, body: DeeplBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> JSONResponse:
    """Translate as DeepL does. Regional targets (``EN-US``, ``PT-BR``) give the language itself.

    What DeepL does not say comes only where there is something to say: `via`, the two models that a text went through,
    and `flags`, what is wrong with a translation. Its clients leave out what they do not know.
    """
    require_key(request, request.app.state.keyring, body.auth_key)
    registry = await registry_of(request)
    texts = as_list(body.text)
    require_items(len(texts), settings, "text")
    source, target = body.source_lang, body.target_lang
    task = await registry.translators().pick(texts, source, target)
    record.serve(*task.models)
    rules = body.rules
    if rules is not None and rules.is_xml:
        await offload(lambda: require_balanced(texts, "text"), size_of(texts))
    done = await task.translate(texts, source, target, TranslationOptions(rules=rules))
    record.finish_translation(texts, done)
    translations = [
        {
            "detected_source_language": item.source.upper(),
            "text": item.text,
            "billed_characters": len(text),
        }
        | ({"via": item.via} if len(item.via) > 1 else {})
        | ({"flags": item.flags} if item.flags else {})
        for text, item in zip(texts, done.items, strict=True)
    ]
    return JSONResponse({"translations": translations})


class DeeplFile(PeerBody):
    """A file to translate: a form with a file in it."""

    inert: ClassVar = {"formality": ("default", "prefer_more", "prefer_less")}
    neutral: ClassVar = {
        **dict.fromkeys(("glossary_id", "glossary_ids", "style_id", "translation_memory_id"), ("",)),
        "enable_document_minification": ("", "0", "false", False),
    }

    file: Upload = Field(description="The file; the ending of its name says its format.")
    filename: str = Field("", description="Its name, where the file has none.", examples=["letter.docx"])
    target_lang: str = Field(description="The language to translate to.", examples=["DE"])
    source_lang: str | None = Field(None, description="Its language; detected when left out.", examples=["EN"])
    output_format: str = Field("", description="The format of the file itself, and no other.", examples=["docx"])
    auth_key: str = Field("", description="The API key, where one is needed.", examples=[""])

    @property
    def upload(self) -> Upload:
        """The file under its name."""
        return Upload(file_name=self.filename) if self.filename else self.file


class DocumentBody(PeerBody):
    """Which document is meant."""

    document_key: str = Field(description="What the upload answered.", examples=["k3"])
    auth_key: str = Field("", description="Taken; the key is in the header.", examples=[""])


@router.post("/v2/document", openapi_extra=form_with_file("target_lang"))
async def upload_document(request: Request, body: DeeplFile, metrics: MetricsDep, record: RecordDep) -> JSONResponse:
    """Take a file and translate it, whether the client waits or comes back. It is forgotten ten minutes later."""
    require_key(request, request.app.state.keyring, body.auth_key)
    registry = await registry_of(request)
    name = body.upload.file_name
    if body.output_format and f".{body.output_format.lower()}" != documents.ending(name):
        raise UnsupportedParameter("output_format", "a file keeps its format.")
    document = await read_upload(request, body.upload)
    source = body.source_lang
    if source is None:
        source = await documents.language_of(document, registry.translators().languages)
    task = await registry.translators().pick([], source, body.target_lang)
    record.serve(*task.models)
    await task.translate([], source, body.target_lang)  # refuses what it does not know before the answer
    files: KeptFiles = request.app.state.kept_files
    id = files.add(name, owner_of(record), document.size)
    kept = files.find(id, owner_of(record), request.url.path)
    kept.characters = sum(map(len, document.texts))
    files.work(_translate(kept, document, task, source, body.target_lang, metrics, record))
    return JSONResponse({"document_id": id, "document_key": kept.secret})


async def _translate(
    kept: Kept,
    document: documents.Document,
    task: TranslationTask,
    source: str | None,
    target: str,
    metrics: Metrics,
    record: Record,
) -> None:
    """Translate a document after the answer to its upload. What it costs is the key's."""
    try:
        done = await documents.translate(document, task, source, target)
        kept.content = await documents.write(document, done)
    except ServerError as error:
        kept.error = error.message
        return
    except Exception:
        log.exception("a document could not be translated")
        kept.error = ServerError().message
        return
    for text, item in zip(document.texts, done.items, strict=True):
        metrics.count("translated_characters_total", len(text), item.source, item.target)
    if record.key_user is not None:
        record.key_user.charge(done.usage.prompt_tokens + done.usage.completion_tokens)


def _find(request: Request, id: str, body: DocumentBody, record: Record) -> Kept:
    kept: Kept = request.app.state.kept_files.find(id, owner_of(record), request.url.path)
    if not hmac.compare_digest(kept.secret.encode(), body.document_key.encode()):
        raise RouteNotFound(request.url.path)
    return kept


@router.post("/v2/document/{id}")
async def document_status(request: Request, id: str, body: DocumentBody, record: RecordDep) -> JSONResponse:
    """Say how far a document is."""
    kept = _find(request, id, body, record)
    status = "error" if kept.error else "translating" if kept.content is None else "done"
    answer: dict[str, Any] = {"document_id": id, "status": status}
    if kept.error:
        answer["error_message"] = kept.error
    elif kept.content is None:
        answer["seconds_remaining"] = 1
    else:
        answer["billed_characters"] = kept.characters
    return JSONResponse(answer)


@router.post("/v2/document/{id}/result")
async def fetch_document(request: Request, id: str, body: DocumentBody, record: RecordDep) -> Response:
    """Fetch a translated document, once."""
    kept = _find(request, id, body, record)
    if kept.error:
        raise InvalidValue(kept.error, "document_id")
    if kept.content is None:
        raise Unavailable("The document is not translated yet.")
    request.app.state.kept_files.drop(id)
    return answer_file(kept)


@router.get("/v2/languages")
async def languages(registry: RegistryDep, type: Literal["source", "target"] = "source") -> JSONResponse:
    """List the languages that can be read or written."""
    listed = []
    for code in registry.translators().languages:
        language: dict[str, Any] = {"language": code.upper(), "name": english_name(code)}
        if type == "target":
            language["supports_formality"] = False
        listed.append(language)
    return JSONResponse(listed)


@router.get("/v2/glossaries")
@router.get("/v3/glossaries", include_in_schema=False)
async def glossaries() -> JSONResponse:
    """List the glossaries: there are none. `/v1/translations` takes one with each request."""
    return JSONResponse({"glossaries": []})


@router.post("/v2/glossaries", include_in_schema=False)
@router.post("/v3/glossaries", include_in_schema=False)
async def make_glossary() -> None:
    """Refuse glossaries by name."""
    raise UnsupportedParameter("glossaries", "none are kept; /v1/translations takes a glossary with each request.")


@router.get("/v2/usage")
async def usage(metrics: MetricsDep) -> JSONResponse:
    """Say how many characters have been translated since the start; there is no limit."""
    characters = int(metrics.total("translated_characters_total"))
    return JSONResponse({"character_count": characters, "character_limit": UNLIMITED_CHARACTERS})


def require_balanced(texts: Sequence[str], field: str) -> None:
    """Refuse XML whose elements do not close, as DeepL does.

    Raises:
        InvalidValue: it names the tag.
    """
    for text in texts:
        names = []
        for each in cut(text, xml=True):
            if each.kind == "open":
                names.append(each.name)
            elif each.kind == "close" and (not names or names.pop() != each.name):
                raise InvalidValue(f"Tag handling parsing failed: '{each.raw[:100]}' closes nothing.", field)
        if names:
            raise InvalidValue(f"Tag handling parsing failed: '<{names[-1][:100]}>' is never closed.", field)
