"""The chat, as a person uses it."""

import json
import os
import re
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.playground.conftest import Visit
from tests.server_process import Served

MARKUP = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
NO_SPECIAL_TOKENS = {str(token): -100 for token in range(13)}  # of the shipped assistant: they come first
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "Say",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string", "enum": [MARKUP]}},
                "required": ["text"],
                "additionalProperties": False,
            },
        },
    }
]


def write_long(page: Page) -> None:
    """Have the next answer go on to the end of the context, in text: without special tokens, which are not shown."""
    page.locator("#chat-tokens").fill("900")
    page.get_by_text("More fields").click()
    page.get_by_label("More fields, as JSON").fill(json.dumps({"ignore_eos": True, "logit_bias": NO_SPECIAL_TOKENS}))


def at_first_text(page: Page, script: str) -> None:
    """Run a script in the page once an answer has text, in the same turn of its event loop."""
    page.evaluate(f"""() => {{
        const log = document.getElementById("chat-log");
        window.first = new Promise((seen) => new MutationObserver((_, observer) => {{
            const text = log.querySelector(".reply .text")?.textContent;
            if (!text) return;
            observer.disconnect();
            seen({script});
        }}).observe(log, {{subtree: true, childList: true, characterData: true}}));
    }}""")


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Control+Enter")


def test_an_answer_is_shown_while_it_comes_and_says_how_fast_it_came(visit: Visit) -> None:
    page = visit.open("chat")
    at_first_text(page, '{text, busy: log.ariaBusy, stop: !document.getElementById("chat-stop").hidden}')
    write_long(page)  # a short answer may be there before the next frame is drawn
    say(page, "Hello, what can you do?")
    first = page.evaluate("window.first")
    facts = page.locator(".turn.reply .facts")
    expect(facts).to_have_text(re.compile(r"^\d+ tokens · \d+ tokens/s · first token after \d+ ms"))
    whole = page.locator(".turn.reply .text").inner_text()
    assert first["busy"] == "true"
    assert first["stop"]
    assert 0 < len(first["text"]) < len(whole)
    assert whole.startswith(first["text"])
    expect(page.locator("#chat-log")).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    "stop",
    [
        'document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}))',
        'document.getElementById("chat-stop").click()',
    ],
)
def test_stop_ends_the_answer_here_and_on_the_server(visit: Visit, served: Served, stop: str) -> None:
    page = visit.open("chat")
    write_long(page)
    seen = len(served.lines)
    at_first_text(page, stop)
    say(page, "Hello")
    expect(page.locator(".facts")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    with served.said:
        assert served.said.wait_for(lambda: any("499" in line for line in served.lines[seen:]), 60)
    # The half of an answer is part of the conversation: the next one goes on from it.
    page.get_by_label("More fields, as JSON").fill("")
    page.locator("#chat-tokens").fill("20")
    say(page, "Thanks")
    expect(page.locator(".facts")).to_have_count(2)
    expect(page.locator(".facts").last).to_contain_text("first token")


def test_a_refusal_is_in_the_apis_words_and_gives_the_message_back(visit: Visit) -> None:
    page = visit.open("chat")
    long = "Hello " * 2000
    say(page, long)
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("maximum context length is 1024 tokens.")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("400 · context_length_exceeded")
    expect(page.get_by_label("Message")).to_have_value(long)
    expect(page.locator(".turn.you")).to_have_count(0)
    assert visit.refused == [(400, "/v1/chat/completions")]
    visit.refused.clear()
    page.get_by_text("Tools", exact=True).click()
    page.get_by_label("Tools, as JSON").fill("[")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert").filter(visible=True).last).to_contain_text("The list of tools is not valid JSON")


def test_a_new_chat_knows_nothing_of_the_last_and_offers_its_beginnings(visit: Visit) -> None:
    page = visit.open("chat")
    page.locator("#chat-tokens").fill("3")
    beginnings = page.locator("#chat-starters button")
    beginnings.first.click()
    expect(page.locator(".facts")).to_contain_text("3 tokens")
    expect(page.locator(".facts")).to_contain_text("cut at the limit of tokens")
    expect(beginnings.first).to_be_hidden()
    page.locator("#chat-new").click()
    expect(page.locator(".turn")).to_have_count(0)
    text = beginnings.last.inner_text()
    with page.expect_request("**/v1/chat/completions") as sent:
        beginnings.last.click()
    assert sent.value.post_data_json["messages"] == [{"role": "user", "content": text}]
    expect(page.locator(".facts")).to_contain_text("3 tokens")


def test_the_end_of_an_answer_stays_in_sight(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 640, "height": 500})
    page = visit.open("chat")
    page.locator("#chat-settings").evaluate("(node) => { node.open = true; }")
    write_long(page)
    page.locator("#chat-settings").evaluate("(node) => { node.open = false; }")
    say(page, "Hello")
    expect(page.locator(".facts")).to_contain_text("tokens/s")
    below, hidden = page.locator("#chat-log").evaluate(
        "(log) => [log.scrollHeight - log.clientHeight - log.scrollTop, log.scrollHeight - log.clientHeight]"
    )
    assert hidden > 100, "the answer is longer than what is seen"
    assert below < 2


def test_an_answer_that_breaks_off_says_why(visit: Visit, served: Served) -> None:
    page = visit.open("chat")
    write_long(page)
    at_first_text(page, "true")
    say(page, "Hello")
    page.evaluate("window.first")
    engine = served.engine("assistant")
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("engine_failed")
    expect(page.get_by_label("Message")).to_have_value("Hello")


def test_the_settings_are_what_is_sent(visit: Visit) -> None:
    page = visit.open("chat")
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Temperature").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#chat-temperature-shown")).to_have_text("0.3")
    page.get_by_label("Max tokens").fill("7")
    with page.expect_request("**/v1/chat/completions") as sent:
        say(page, "Hello")
    assert sent.value.post_data_json == {
        "model": "assistant",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "temperature": 0.3,
        "max_tokens": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    expect(page.locator(".facts")).to_contain_text("token")


def test_a_tool_call_can_be_read_and_answered_and_markup_stays_text(visit: Visit) -> None:
    page = visit.open("chat")
    page.get_by_text("Tools", exact=True).click()
    page.get_by_label("Tools, as JSON").fill(json.dumps(TOOLS))
    page.get_by_text("More fields").click()
    page.get_by_label("More fields, as JSON").fill('{"tool_choice": "required"}')
    say(page, f"Say {MARKUP}")
    call = page.locator(".call")
    expect(call).to_contain_text("Calls Say")
    expect(call.locator("dt")).to_have_text("text")
    expect(call.locator("dd")).to_have_text(MARKUP)
    expect(page.locator(".turn.you .text")).to_have_text(f"Say {MARKUP}")
    page.get_by_label("More fields, as JSON").fill("")
    page.get_by_label("Result of Say").fill(MARKUP)
    with page.expect_request("**/v1/chat/completions") as sent:
        page.get_by_role("button", name="Send result").click()
    [asked, result] = sent.value.post_data_json["messages"][-2:]
    assert result == {"role": "tool", "tool_call_id": asked["tool_calls"][0]["id"], "content": MARKUP}
    expect(page.locator(".turn.tool pre")).to_have_text(MARKUP)
    expect(page.locator(".facts")).to_have_count(2)
    expect(page.locator(".facts").last).not_to_be_empty()
    assert page.locator("main img, main b:not(.reading b)").count() == 0
    assert page.title() == "Hearth"
