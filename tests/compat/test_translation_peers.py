"""LibreTranslate's and DeepL's own clients against a real server."""

import hashlib
import io
import json
import re
import urllib.error
import zipfile
from collections.abc import Iterator
from typing import Any

import deepl
import httpx
import pytest
from libretranslatepy import LibreTranslateAPI

from tests.server_process import Served, serving

KEY, OTHER_KEY = "a-key-for-tests", "another-key"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server that wants a key: the clients send it each in its own way."""
    hashes = ",".join(hashlib.sha256(key.encode()).hexdigest() for key in (KEY, OTHER_KEY))
    with serving("--models", "translate", "--api-keys", hashes) as served:
        yield served


@pytest.fixture(scope="module")
def libre(server: Served) -> LibreTranslateAPI:
    return LibreTranslateAPI(server.url, KEY)


@pytest.fixture(scope="module")
def translator(server: Served) -> deepl.Translator:
    return deepl.Translator(KEY, server_url=server.url, send_platform_info=False)


def test_libretranslate_translates(libre: LibreTranslateAPI) -> None:
    assert libre.translate("Good morning.", "en", "de")
    assert libre.translate("https://example.com", "auto", "de") == "https://example.com"


def test_libretranslate_detects(libre: LibreTranslateAPI) -> None:
    found = libre.detect("Ich habe heute leider keine Zeit.")
    assert found[0]["language"] == "de"
    assert 50 < found[0]["confidence"] <= 100


def test_libretranslate_lists_languages(libre: LibreTranslateAPI) -> None:
    listed = {language["code"]: language for language in libre.languages()}
    assert listed["de"]["name"] == "German"
    assert set(listed["de"]["targets"]) == {"de", "en", "es", "fr"}


def test_a_list_gives_a_list_and_detects_each(server: Served) -> None:
    body = {"q": ["Good morning.", "Guten Morgen."], "source": "auto", "target": "en", "api_key": KEY}
    answer = httpx.post(f"{server.url}/translate", json={**body, "alternatives": 2}, timeout=60).json()
    assert [found["language"] for found in answer["detectedLanguage"]] == ["en", "de"]
    assert answer["translatedText"][0] == "Good morning."
    assert len(answer["alternatives"][1]) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"q": "Hello", "source": "en", "target": "xx"}, 400),
        ({"source": "en", "target": "de"}, 400),
        ({"q": "Hello", "source": "en", "target": "de", "format": "pdf"}, 400),
        ({"q": "Hello", "source": "en", "target": "de", "api_key": "wrong"}, 403),
    ],
)
def test_libretranslate_errors_are_a_line_of_text(server: Served, body: dict[str, str], status: int) -> None:
    answer = httpx.post(f"{server.url}/translate", json={"api_key": KEY, **body}, timeout=60)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


def test_a_wrong_key_is_refused_by_libretranslate(server: Served) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        LibreTranslateAPI(server.url, "wrong").translate("Hello", "en", "de")


def sent(server: Served, name: str, content: bytes, key: str = KEY, **fields: str) -> httpx.Response:
    data = {"source": "en", "target": "de", "api_key": key, **fields}
    return httpx.post(f"{server.url}/translate_file", data=data, files={"file": (name, content)}, timeout=60)


def test_a_file_is_translated_and_fetched_by_its_key_alone(server: Served) -> None:
    page = b"<!-- note -->\r\n<p class='a'><b>Good morning.</b></p>\r\n"
    url = sent(server, "\u00fcber uns.html", page).json()["translatedFileUrl"]
    assert url.startswith(f"{server.url}/download_file/")
    answer = httpx.get(url, headers={"authorization": f"Bearer {KEY}"}, timeout=60)
    assert answer.content == b"<!-- note -->\r\n<p class='a'><b>Guten Morgen.</b></p>\r\n"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BCber%20uns_de.html"
    assert httpx.get(url, timeout=60).status_code == 403
    other = httpx.get(url, headers={"authorization": f"Bearer {OTHER_KEY}"}, timeout=60)
    assert (other.status_code, set(other.json())) == (404, {"error"})


def test_a_word_document_comes_back_with_its_members(server: Served) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        text = "<w:r><w:rPr><w:b/></w:rPr><w:t>Good morning.</w:t></w:r>"
        archive.writestr("word/document.xml", f"<w:document><w:p>{text}</w:p></w:document>")
        archive.writestr("word/media/image1.png", b"\x89PNG\xff\x00")
    url = sent(server, "letter.docx", made.getvalue()).json()["translatedFileUrl"]
    answer = httpx.get(url, headers={"authorization": f"Bearer {KEY}"}, timeout=60)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.read("word/media/image1.png") == b"\x89PNG\xff\x00"
        assert "<w:rPr><w:b/></w:rPr>" in archive.read("word/document.xml").decode()
        assert ">Guten Morgen.</w:t>" in archive.read("word/document.xml").decode()


def test_the_language_of_a_file_is_told(server: Served) -> None:
    url = sent(server, "a.txt", b"Ich habe heute leider keine Zeit.\n\n12\n", source="auto", target="en").json()
    answer = httpx.get(url["translatedFileUrl"], headers={"authorization": f"Bearer {KEY}"}, timeout=60)
    assert "time" in answer.text
    assert answer.text.endswith("\n\n12\n")


def test_a_file_without_words_comes_back(server: Served) -> None:
    url = sent(server, "a.csv", b"a;b\n1;2\n", source="auto").json()["translatedFileUrl"]
    answer = httpx.get(url, headers={"authorization": f"Bearer {KEY}"}, timeout=60)
    assert answer.content == b"a;b\n1;2\n"


def test_what_is_no_file_to_translate_is_refused(server: Served) -> None:
    refused = [
        sent(server, "a.pdf", b"%PDF"),
        sent(server, "a.json", b"{"),
        sent(server, "a.txt", b"Hello", target="xx"),
        sent(server, "a.txt", b"Hello", surprise="x"),
        sent(server, "a.txt", b"Hello", model="nothing"),
        sent(server, "a.txt", b"Hello", key="wrong"),
        httpx.post(f"{server.url}/translate_file", json={"api_key": KEY, "source": "en", "target": "de"}, timeout=60),
        httpx.post(f"{server.url}/translate_file", data={"api_key": KEY, "file": "x"}, timeout=60),
        httpx.post(
            f"{server.url}/translate_file",
            content=b"--x\r\n\r\nno end",
            headers={"content-type": "multipart/form-data; boundary=x"},
            timeout=60,
        ),
        httpx.post(f"{server.url}/translate_file?{'a=&' * 10_001}", files={"file": ("a.txt", b"Hello")}, timeout=60),
    ]
    assert [answer.status_code for answer in refused] == [400, 400, 400, 400, 404, 403, 400, 400, 400, 400]
    assert all(set(answer.json()) == {"error"} for answer in refused)
    assert ".srt" in refused[0].json()["error"]
    assert "no JSON" in refused[1].json()["error"]


def test_a_text_may_come_in_a_form_of_parts(server: Served) -> None:
    form = {"q": (None, "Good morning."), "source": (None, "en"), "target": (None, "de"), "api_key": (None, KEY)}
    assert httpx.post(f"{server.url}/translate", files=form, timeout=60).json()["translatedText"]
    form["q"] = ("a.txt", "Good morning.")
    assert httpx.post(f"{server.url}/translate", files=form, timeout=60).status_code == 400


def test_front_end_settings_say_what_there_is(server: Served) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    told = httpx.get(f"{server.url}/frontend/settings", headers=headers, timeout=60).json()
    assert told["keyRequired"] is True
    assert told["filesTranslation"] is True
    assert ".srt" in told["supportedFilesFormat"]


def test_deepl_translates_and_detects(translator: deepl.Translator) -> None:
    result = translator.translate_text("Ich habe heute leider keine Zeit.", target_lang="EN-US")
    assert isinstance(result, deepl.TextResult)
    assert result.detected_source_lang == "DE"
    assert result.text
    several = translator.translate_text(["Hello.", "Yes."], source_lang="EN", target_lang="FR")
    assert isinstance(several, list)
    assert [one.billed_characters for one in several] == [6, 4]


def test_deepl_lists_languages_and_usage(translator: deepl.Translator) -> None:
    translator.translate_text("Hello.", target_lang="DE")
    assert {language.code for language in translator.get_source_languages()} == {"EN", "DE", "FR", "ES"}
    assert not any(language.supports_formality for language in translator.get_target_languages())
    used = translator.get_usage()
    assert used.character.count is not None
    assert used.character.count >= 6
    assert not used.any_limit_reached


def test_deepl_takes_documents(server: Served, translator: deepl.Translator) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n"
    handle = translator.translate_document_upload(text, filename="film.srt", source_lang="EN", target_lang="DE")
    for _ in range(1000):
        status = translator.translate_document_get_status(handle)
        if status.done:
            break
    assert (status.ok, status.billed_characters) == (True, len("Good morning."))
    stranger = deepl.Translator(OTHER_KEY, server_url=server.url)
    forged = deepl.DocumentHandle(handle.document_id, "forged")
    for client, wrong in ((stranger, handle), (translator, forged)):
        with pytest.raises(deepl.DeepLException, match=r"[Nn]ot found"):
            client.translate_document_get_status(wrong)
    made = io.BytesIO()
    translator.translate_document_download(handle, made)
    assert made.getvalue() == b"1\n00:00:01,000 --> 00:00:02,000\nGuten Morgen.\n"
    with pytest.raises(deepl.DeepLException):
        translator.translate_document_get_status(handle)  # it is fetched once


def test_deepls_documents_are_refused_at_once_where_they_cannot_be_translated(translator: deepl.Translator) -> None:
    with pytest.raises(deepl.DeepLException, match="no JSON"):
        translator.translate_document_upload("{", filename="a.json", target_lang="DE")
    with pytest.raises(deepl.DeepLException, match="keeps its format"):
        translator.translate_document_upload("Hi", filename="a.txt", target_lang="DE", output_format="docx")
    with pytest.raises(deepl.DeepLException, match="XX"):
        translator.translate_document_upload("Hi", filename="a.txt", target_lang="XX")


def test_deepl_gets_its_own_exceptions(server: Served, translator: deepl.Translator) -> None:
    with pytest.raises(deepl.AuthorizationException):
        deepl.Translator("wrong", server_url=server.url).translate_text("Hello", target_lang="DE")
    with pytest.raises(deepl.DeepLException, match="XX"):
        translator.translate_text("Hello", target_lang="XX")
    with pytest.raises(deepl.DeepLException, match="formality"):
        translator.translate_text("Hello", target_lang="DE", formality="more")


def test_a_form_is_read_like_json(server: Served) -> None:
    form = {"text": ["Hello.", "Yes."], "target_lang": "DE", "source_lang": "EN"}
    headers = {"authorization": f"DeepL-Auth-Key {KEY}"}
    as_form = httpx.post(f"{server.url}/v2/translate", data=form, headers=headers, timeout=60)
    as_json = httpx.post(f"{server.url}/v2/translate", content=json.dumps(form), headers={
        **headers, "content-type": "application/json"}, timeout=60)  # fmt: skip
    assert as_form.json() == as_json.json()
    assert len(as_form.json()["translations"]) == 2


def markup(text: str) -> list[str]:
    return sorted(re.findall(r"<[^>]+>", text))


def test_libretranslate_keeps_html(server: Served) -> None:
    page = '<p class="a">Good <b>morning</b> &amp; hello.<br>See <code>rm -rf</code>.</p><!-- hello -->'
    body = {"q": page, "source": "en", "target": "de", "format": "html", "api_key": KEY}
    made = httpx.post(f"{server.url}/translate", json=body, timeout=60).json()["translatedText"]
    assert markup(made) == markup(page)
    assert "<code>rm -rf</code>" in made
    assert httpx.post(f"{server.url}/translate", data=body, timeout=60).json()["translatedText"] == made


def test_deepl_keeps_xml_and_html(translator: deepl.Translator) -> None:
    page = "<d><t n='1'>The weather today</t><p>I have a <em>big <x/> dog</em> at home.</p><k>leave this alone</k></d>"
    fields: dict[str, Any] = {"source_lang": "EN", "target_lang": "DE"}
    made = translator.translate_text(page, tag_handling="xml", ignore_tags=["k", "q"], **fields)
    assert isinstance(made, deepl.TextResult)
    assert markup(made.text) == markup(page)
    assert "<k>leave this alone</k>" in made.text
    html = translator.translate_text("<p>It is <b>cold</b>.", tag_handling="html", **fields)
    assert isinstance(html, deepl.TextResult)
    assert markup(html.text) == ["</b>", "<b>", "<p>"]


def test_deepl_splits_at_the_tags_it_is_told(translator: deepl.Translator) -> None:
    def translate(text: str, **options: Any) -> str:
        made = translator.translate_text(text, source_lang="EN", target_lang="DE", tag_handling="xml", **options)
        assert isinstance(made, deepl.TextResult)
        return made.text

    one, other = "I have a dog", "the house is old"
    apart = [translate(one), translate(other)]
    page = f"<a>{one}</a><b>{other}</b>"
    assert translate(page) == f"<a>{apart[0]}</a><b>{apart[1]}</b>"
    assert translate(page, outline_detection=False, splitting_tags=["b"]) == translate(page)
    assert markup(translate(page, non_splitting_tags="a,b")) == markup(page)
    assert markup(translate(page, split_sentences="nonewlines", outline_detection=False)) == markup(page)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"ignore_tags": ["x"]}, "ignore_tags"),
        ({"splitting_tags": ["x"]}, "splitting_tags"),
        ({"outline_detection": False}, "outline_detection"),
        ({"outline_detection": False, "tag_handling": "html"}, "outline_detection"),
        ({"split_sentences": "nonewlines"}, "split_sentences"),
        ({"split_sentences": "0"}, "split_sentences"),
        ({"tag_handling": "docx"}, "tag_handling"),
        ({"glossary": "0123"}, "glossary_id"),
    ],
)
def test_deepl_is_told_by_name_what_is_not_done(
    translator: deepl.Translator, fields: dict[str, Any], name: str
) -> None:
    with pytest.raises(deepl.DeepLException, match=name):
        translator.translate_text("Hello.", source_lang="EN", target_lang="DE", **fields)


def test_deepl_refuses_xml_that_is_none(translator: deepl.Translator) -> None:
    for text in ("<a>Hello.", "Hello.</a>", "<a><b>Hello.</a></b>"):
        with pytest.raises(deepl.DeepLException, match="parsing failed"):
            translator.translate_text(text, target_lang="DE", tag_handling="xml")
