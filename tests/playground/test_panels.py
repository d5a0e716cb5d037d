"""Translation, classification, similarity, the models and the graphs, as a person uses them."""

import json
import re
import subprocess

import pytest
from playwright.sync_api import Page, Route, expect

from tests.playground.conftest import TABS, Visit

MARKUP = "<img src=x onerror=\"document.title='owned'\">"
FIGURE = re.compile(r"[01]\.\d\d$")


def test_a_translation_appears_as_one_types(visit: Visit) -> None:
    page = visit.open("translate")
    languages = page.get_by_role("combobox", name="From").locator("option")
    assert languages.all_inner_texts() == ["Detect language", "English", "German", "French", "Spanish"]
    target = page.get_by_role("combobox", name="To", exact=True)
    expect(target).to_have_value("de")  # and not English, which most people type
    target.select_option("French")
    page.get_by_label("Text to translate").press_sequentially("Good morning. Where is the station?")
    output = page.get_by_label("Translation", exact=True)
    expect(output).to_have_attribute("lang", "fr")
    expect(output).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#translate-detected")).to_have_text(re.compile(r"^Detected: English, \d+% sure$"))
    expect(page.locator("#translate-about")).to_have_text(re.compile(r"^Confidence \d+% · \d+ ms$"))
    french = output.inner_text()
    page.locator("#translate-copy").click()
    expect(page.locator("#translate-copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == french
    page.get_by_role("button", name="Swap the languages").click()
    expect(page.get_by_label("Text to translate")).to_have_value(french)
    expect(output).to_have_attribute("lang", "en")
    page.get_by_label("Text to translate").fill("")
    expect(output).to_be_empty()


def test_what_is_wrong_with_a_translation_is_said(visit: Visit) -> None:
    page = visit.open("translate")
    # A name is a copy of itself, and a copy of the source is what the flag is about.
    page.get_by_role("combobox", name="From").select_option("German")
    page.get_by_role("combobox", name="To", exact=True).select_option("English")
    page.get_by_label("Text to translate").fill("Zxqv brrk wumpf tlak krrz gnuff.")
    expect(page.locator("#translate-about")).to_contain_text("ms")
    with page.expect_response("**/v1/translations") as answered:
        page.get_by_role("combobox", name="To", exact=True).select_option("French")
    expect(page.locator("#translate-about")).to_contain_text("through English")
    flags = re.findall(r'"flags":\[(.*?)\]', answered.value.text())[-1].replace('"', "").split(",")
    expect(page.locator("#translate-flags li b")).to_have_text([f.replace("_", " ") for f in flags if f])
    assert "low_confidence" in flags
    expect(page.locator("#translate-output mark")).to_have_attribute("title", re.compile("doubtful"))


def test_a_summary_shows_where_its_sentences_stand(visit: Visit) -> None:
    page = visit.open("summarize")
    page.get_by_label("At most").fill("2")
    note = f"😀 HISTORY\n\nPLAN\n\nHe rests at home.\n\nEXAM\n\nThe lungs are clear. {MARKUP}"
    page.get_by_label("Text to summarize").fill(note)
    summary = page.get_by_role("region", name="Summary")
    expect(summary.locator("h3")).to_have_text(["PLAN", "EXAM"])
    expect(page.locator("#summarize-about")).to_have_text(re.compile(r"^extractive · \d+ tokens · \d+ ms$"))
    summary.get_by_role("button", name="He rests at home.").click()
    selected = page.evaluate(
        "(() => { const i = document.activeElement; return i.value.slice(i.selectionStart, i.selectionEnd) })()"
    )
    assert selected == "He rests at home."
    page.get_by_role("combobox", name="of").select_option("max_words")
    page.get_by_label("At most").fill("1")
    expect(summary).to_have_text("No sentence is short enough for this length.")
    assert page.locator("main img").count() == 0


def test_what_the_text_does_not_say_is_marked(visit: Visit) -> None:
    page = visit.open("summarize")
    page.get_by_role("combobox", name="Model").select_option("assistant")
    page.get_by_label("Text to summarize").fill("The patient takes aspirin. He has a cough.")
    expect(page.locator("#summarize-flags li b")).to_have_text(["unsupported"])
    expect(page.locator("#summarize-output mark").first).to_have_attribute("title", re.compile("^Nothing in the text"))


@pytest.mark.parametrize("model", ["sentiment", "moderation", "embed"])
def test_every_classifier_has_its_bars(visit: Visit, model: str) -> None:
    page = visit.open("classify")
    moderation = ["harassment", "hate", "sexual", "violence", "self-harm"]
    labels = {"sentiment": ["negative", "neutral", "positive"], "moderation": moderation}
    page.get_by_role("combobox", name="Model").select_option(model)
    if model == "embed":
        page.get_by_role("textbox", name="Labels").fill("praise, <b>complaint</b>")
    page.get_by_label("Text to classify").press_sequentially("I love this place.")
    bars = page.get_by_role("region", name="Result")
    expect(bars.locator(".name")).to_have_text(labels.get(model, ["praise", "<b>complaint</b>"]))
    expect(bars.locator(".figure").first).to_have_text(FIGURE)
    if model == "sentiment":
        expect(bars.locator(".strong .name")).to_have_text("positive")
        widths = [fill.bounding_box() or {} for fill in bars.locator(".fill").all()]
        assert max(widths, key=lambda box: box.get("width", 0)) == widths[2]
    assert bars.locator("b").count() == 0


def test_what_is_flagged_stands_out(visit: Visit) -> None:
    page = visit.open("classify")
    page.get_by_role("combobox", name="Model").select_option("moderation")
    with page.expect_response("**/v1/moderations") as answered:
        page.get_by_label("Text to classify").fill("You are a worthless idiot and everybody hates you.")
    (result,) = answered.value.json()["results"]
    flagged = [name for name, is_flagged in result["categories"].items() if is_flagged]
    assert flagged
    expect(page.get_by_role("region", name="Result").locator(".strong .name")).to_have_text(flagged)


def test_what_was_asked_for_an_older_text_is_given_up(visit: Visit) -> None:
    page = visit.open("classify")
    page.get_by_role("combobox", name="Model").select_option("sentiment")
    held: list[Route] = []
    page.route("**/v1/sentiment", lambda route: held.append(route), times=1)
    with page.expect_request("**/v1/sentiment"):
        page.get_by_label("Text to classify").fill("I hate it.")
    with page.expect_event("requestfailed") as given_up:
        page.get_by_label("Text to classify").fill("I love it.")
    assert given_up.value.post_data_json["input"] == "I hate it."
    expect(page.locator("#classify-result .strong .name")).to_have_text("positive")


def test_the_most_relevant_document_comes_first(visit: Visit) -> None:
    page = visit.open("rerank")
    bars = page.get_by_role("region", name="Relevance, highest first")
    expect(bars.locator(".name")).to_have_count(4)
    page.get_by_role("textbox", name="Documents, one a line").fill(
        f"The weather is nice\n{MARKUP}\nHow to get a refund"
    )
    expect(bars.locator(".name")).to_have_count(3)
    expect(bars.locator(".strong .name")).to_have_text("How to get a refund")
    figures = [float(text) for text in bars.locator(".figure").all_inner_texts()]
    assert figures == sorted(figures, reverse=True)
    assert page.locator("main img").count() == 0
    assert page.title() == "Hearth"


def test_the_models_are_listed_with_their_state(visit: Visit) -> None:
    page = visit.open("models")
    card = page.get_by_role("article", name="assistant", exact=True)
    expect(card).to_contain_text("generation")
    expect(card).to_contain_text("1,024 tokens")
    expect(page.locator(".model .state")).to_have_text(["ready"] * 6)


def test_the_graphs_get_points(visit: Visit) -> None:
    page = visit.open("chat")
    page.get_by_label("Message").fill("Hello")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".facts")).to_contain_text("token")
    page.get_by_role("tab", name="Live").click()
    charts = page.locator(".chart")
    expect(charts).to_have_count(6)
    # A line from one reading to the next, in the first chart, and a figure that is a number, in each.
    expect(charts.first.locator(".line-0")).to_have_attribute("d", re.compile(r"M[\d.]+ [\d.]+h0L[\d.]+ [\d.]+"))
    for title in ("Requests a second", "Tokens a second", "Requests now"):
        chart = charts.filter(has_text=title)
        expect(chart.locator("b").first).to_have_text(re.compile(r"^[\d.,]+$"))
    page.get_by_role("combobox", name="Model").select_option("assistant")
    expect(charts.first.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile(r"Requests a second: requests [\d.]+")
    )


def shown_command(page: Page) -> str:
    panel = page.get_by_role("tabpanel")
    panel.get_by_role("button", name="Show as curl").click()
    command = panel.get_by_label("The request as curl").inner_text()
    expect(panel.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == command
    return command


@pytest.mark.parametrize("tab", TABS)
def test_the_request_as_curl_is_what_the_page_sends(visit: Visit, tab: str) -> None:
    page = visit.open(tab)
    text = 'It\'s "good" & cheap: $HOME `ls` \\ 100%'
    for label in ("Message", "Text to translate", "Text to summarize", "Text to classify", "A question"):
        field = page.get_by_role("tabpanel").get_by_label(label, exact=True)
        if field.count():
            field.fill(text)
    command = shown_command(page)
    done = subprocess.run(["sh", "-c", command + " -f"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, command
    assert done.stdout
    if tab == "rerank":
        with page.expect_request("**/v1/rerank") as sent:
            page.get_by_label("A question", exact=True).fill(text + ".")
        assert sent.value.post_data_json["query"] == text + "."


def test_a_file_of_requests_is_run_watched_and_saved(visit: Visit) -> None:
    page = visit.open("batches")
    page.get_by_role("button", name="Run it").click()
    expect(page.locator("#batches-problem")).to_have_text("Choose a file first.")
    line = {"custom_id": MARKUP, "method": "POST", "url": "/v1/sentiment", "body": {"input": "I love it."}}
    lines = "\n".join(json.dumps(each) for each in (line, line | {"custom_id": "bad", "body": {}}))
    name = f"{MARKUP.replace('/', '')}.jsonl"
    page.get_by_label("File").set_input_files({"name": name, "mimeType": "application/jsonl", "buffer": lines.encode()})
    page.get_by_role("button", name="Run it").click()
    card = page.locator("#batches-list article").first
    expect(card.locator(".state")).to_have_text("completed")
    expect(card.locator("h2")).to_have_text(name)
    expect(card).to_contain_text("1 of 2 lines answered, 1 refused")
    for button, expected in (("Save the answers", MARKUP), ("Save the errors", "bad")):
        with page.expect_download() as saved:
            card.get_by_role("button", name=button).click()
        assert json.loads(saved.value.path().read_text())["custom_id"] == expected
    page.get_by_label("File").set_input_files({"name": "wrong.jsonl", "mimeType": "text/plain", "buffer": b"no json"})
    page.get_by_role("button", name="Run it").click()
    expect(page.locator("#batches-problem")).to_contain_text("The first line of the file is no request")
    assert page.title() == "Hearth"
