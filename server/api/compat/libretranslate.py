"""LibreTranslate's routes, in JSON and forms: ``/translate``, ``/translate_file``, ``/detect``, ``/languages``,
``/frontend/settings``.
"""

from collections import Counter
from pathlib import PurePath
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from server.api.auth import require_key
from server.api.compat.peer import (
    KeptFiles,
    PeerBody,
    PeerRoute,
    Upload,
    answer_file,
    form_with_file,
    owner_of,
    read_upload,
)
from server.api.deps import RecordDep, RegistryDep, SettingsDep, registry_of, require_items
from server.api.schemas.base import Texts, as_list
from server.tasks import documents
from server.tasks.results import Translation
from server.tasks.text.language import english_name, tell
from server.tasks.translation.markup import Rules
from server.tasks.translation.progress import TranslationOptions
from server.tasks.translation.task import Translators

router = APIRouter(route_class=PeerRoute, tags=["LibreTranslate"])


class TranslateBody(PeerBody):
    """Texts to translate."""

    q: Texts = Field(description="A text or a list of texts.", examples=["Good morning."])
    source: str = Field(description="Their language, or `auto`.", examples=["auto"])
    target: str = Field(description="The language to translate to.", examples=["de"])
    format: Literal["text", "html"] = Field("text", description="`html` leaves tags as they are.", examples=["text"])
    alternatives: int = Field(0, ge=0, le=5, description="How many more translations of each text.", examples=[0])
    api_key: str = Field("", description="The API key, where one is needed.", examples=[""])


class DetectBody(PeerBody):
    """A text whose language is to be told."""

    q: str = Field(description="The text.", examples=["Guten Morgen."])
    api_key: str = Field("", description="The API key, where one is needed.", examples=[""])


@router.post("/translate")
async def translate(
    request: Request, body: TranslateBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> JSONResponse:
    """Translate as LibreTranslate does: a text gives a text, a list gives a list.

    What LibreTranslate does not say comes only where there is something to say: `via`, the two models that a text went
    through, and `flags`, what is wrong with a translation.
    """
    require_key(request, request.app.state.keyring, body.api_key)
    registry = await registry_of(request)
    texts = as_list(body.q)
    require_items(len(texts), settings, "q")
    source = None if body.source == "auto" else body.source
    task = await registry.translators().pick(texts, source, body.target)
    record.serve(*task.models)
    rules = Rules() if body.format == "html" else None
    options = TranslationOptions(alternatives=body.alternatives, rules=rules)
    done = await task.translate(texts, source, body.target, options)
    record.finish_translation(texts, done)
    answer: dict[str, Any] = {"translatedText": [item.text for item in done.items]}
    if source is None:
        answer["detectedLanguage"] = [_detected(item) for item in done.items]
    if body.alternatives:
        answer["alternatives"] = [list(item.alternatives) for item in done.items]
    if any(len(item.via) > 1 for item in done.items):
        answer["via"] = [list(item.via) for item in done.items]
    if any(item.flags for item in done.items):
        answer["flags"] = [list(item.flags) for item in done.items]
    if isinstance(body.q, str):
        answer = {name: values[0] for name, values in answer.items()}
    return JSONResponse(answer)


class FileBody(PeerBody):
    """A file to translate: a form with a file in it (``multipart/form-data``)."""

    file: Upload = Field(description="The file; the ending of its name says its format.")
    source: str = Field(description="Its language, or `auto`.", examples=["auto"])
    target: str = Field(description="The language to translate to.", examples=["de"])
    model: str | None = Field(
        None, min_length=1, max_length=200, description="Id of a translator.", examples=["translate"]
    )
    api_key: str = Field("", description="The API key, where one is needed.", examples=[""])


@router.post("/translate_file", openapi_extra=form_with_file("source", "target"))
async def translate_file(request: Request, body: FileBody, record: RecordDep) -> JSONResponse:
    """Translate a file. The answer says where it can be fetched, by the same key, within ten minutes.

    What LibreTranslate does not say: `flags`, in how many passages each fault was found, where there are any.
    """
    require_key(request, request.app.state.keyring, body.api_key)
    registry = await registry_of(request)
    kept: KeptFiles = request.app.state.kept_files
    document = await read_upload(request, body.file)
    source = None if body.source == "auto" else body.source
    if source is None:
        source = await documents.language_of(document, registry.translators().languages)
    if body.model is None:
        task = await registry.translators().pick([], source, body.target)
    else:
        task = registry.translator(body.model)
    record.serve(*task.models)
    path = PurePath(body.file.file_name)
    name = f"{path.stem}_{body.target}{path.suffix}"
    with kept.room(name, owner_of(record), document.size) as id:
        done = await documents.translate(document, task, source, body.target)
        record.finish_translation(document.texts, done)
        kept.fill(id, await documents.write(document, done))
    answer: dict[str, Any] = {"translatedFileUrl": f"{request.base_url}download_file/{id}/{quote(name, safe='')}"}
    if flags := Counter(flag for item in done.items for flag in item.flags):
        answer["flags"] = flags
    return JSONResponse(answer)


@router.get("/download_file/{id}/{name}")
async def download_file(request: Request, id: str, name: str, record: RecordDep) -> Response:
    """Fetch a translated file, with the key that it was sent with."""
    kept: KeptFiles = request.app.state.kept_files
    return answer_file(kept.find(id, owner_of(record), request.url.path))


@router.post("/detect")
async def detect_language(request: Request, body: DetectBody, registry: RegistryDep) -> JSONResponse:
    """Tell the language of a text; confidence in percent."""
    require_key(request, request.app.state.keyring, body.api_key)
    registry = await registry_of(request)
    [found] = await tell([body.q], registry.translators().languages)
    return JSONResponse([{"confidence": round(found[1] * 100, 1), "language": found[0]}] if found else [])


@router.get("/languages")
async def languages(registry: RegistryDep) -> JSONResponse:
    """List the languages and what each can be translated to."""
    served = registry.translators()
    return JSONResponse(
        [{"code": code, "name": english_name(code), "targets": _targets(served, code)} for code in served.languages]
    )


@router.get("/frontend/settings")
async def frontend_settings(request: Request, registry: RegistryDep) -> JSONResponse:
    """Say what a front end may offer."""
    languages = registry.translators().languages
    target = "en" if "en" in languages else languages[0]
    return JSONResponse(
        {
            "apiKeys": request.app.state.keyring is not None,
            "keyRequired": request.app.state.keyring is not None,
            "charLimit": -1,
            "frontendTimeout": 500,
            "suggestions": False,
            "filesTranslation": True,
            "supportedFilesFormat": list(documents.ENDINGS),
            "language": {
                "source": {"code": "auto", "name": "Auto Detect"},
                "target": {"code": target, "name": english_name(target)},
            },
        }
    )


def _detected(item: Translation) -> dict[str, Any]:
    language, confidence = item.detected or (item.source, 0.0)
    return {"confidence": round(confidence * 100, 1), "language": language}


def _targets(served: Translators, source: str) -> list[str]:
    return [target for target in served.languages if target == source or served.translates(source, target)]
