"""Whole dialogues, played and followed: the conditions for a right one."""

from collections.abc import Mapping, Sequence

from models.families.hearth_assistant import Call, Completion, Message, Tool
from models.recipes.assistant.data import DevRow
from models.recipes.assistant.whole import Scenario, WantedCall, as_scenario, follow, play, scenarios, why_failed

BOOK, CANCEL = Tool("book", ("day",), ("note",)), Tool("cancel", ("code",))
SCENARIO = Scenario(
    "two calls",
    "Today is Friday, 2027-01-01.",
    (BOOK, CANCEL),
    ("Book tomorrow.", "Yes.", "Cancel it.", "Bye"),
    (
        WantedCall("book", {"day": ("2027-01-02", "tomorrow")}, '{"code": "B-1", "status": "ok"}'),
        WantedCall("cancel", {"code": ("B-1",)}, "{}"),
    ),
)


class Script:
    """Answers by the last message, each as often as it comes; keeps what it was asked."""

    def __init__(self, answers: Mapping[str, str | Call]) -> None:
        self._answers, self.asked = answers, list[list[Message]]()

    def __call__(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Completion:
        self.asked.append(list(messages))
        answer = self._answers.get(messages[-1].content, "All right.")
        return Completion("", (answer,)) if isinstance(answer, Call) else Completion(answer)


def played(answers: Mapping[str, str | Call]) -> str:
    return why_failed(play(SCENARIO), SCENARIO.tools, Script(answers))


def test_a_scenario_counts_when_its_calls_were_made_once_each():
    script = Script({"Yes.": Call("book", {"day": "tomorrow"}), "Cancel it.": Call("cancel", {"code": "B-1"})})
    assert why_failed(play(SCENARIO), SCENARIO.tools, script) == ""
    assert [m.content for m in script.asked[-1]][:5] == [
        "Today is Friday, 2027-01-01.",
        "Book tomorrow.",
        "All right.",
        "Yes.",
        "",
    ]
    assert script.asked[2][-1] == Message("tool", "code: B-1; status: ok")


def test_a_scenario_fails_where_a_call_is_missing_wrong_or_repeated():
    book, cancel = Call("book", {"day": "2027-01-02"}), Call("cancel", {"code": "B-1"})
    assert played({"Book tomorrow.": book}) == "no call of cancel"
    assert played({"Book tomorrow.": book, "Yes.": book, "Cancel it.": cancel}) == "wrong call: book(day='2027-01-02')"
    assert played({"Cancel it.": cancel}) == "wrong call: cancel(code='B-1')"
    assert "note" in played({"Yes.": Call("book", {"day": "tomorrow", "note": "x"}), "Cancel it.": cancel})
    assert "2019" in played({"Yes.": Call("book", {"day": "2019-03-02"})})
    assert played({"Book tomorrow.": book, "code: B-1; status: ok": book}).startswith("wrong call")


def dev_row() -> DevRow:
    messages = (
        Message("system", "Today is Friday, 2019-03-01."),
        Message("user", "A table."),
        Message("assistant", "When?"),
        Message("user", "Now."),
        Message("assistant", "Sure?"),
        Message("user", "Yes"),
        Message("assistant", "", (Call("book", {"day": "2019-03-01"}),)),
        Message("tool", "done"),
        Message("assistant", "It is done."),
    )
    return DevRow("sgd-dev", messages, (BOOK,), frozenset({"book"}), ())


def test_a_followed_dialogue_keeps_its_own_answers_and_takes_the_call_a_turn_early():
    right = Call("book", {"day": "2019-03-01"})
    script = Script({"Yes": right, "A table.": "What?"})
    assert why_failed(follow(dev_row()), (BOOK,), script) == ""
    assert [m.content for m in script.asked[1]] == ["Today is Friday, 2019-03-01.", "A table.", "When?", "Now."]
    assert why_failed(follow(dev_row()), (BOOK,), Script({"Now.": right, "Yes": right})) == ""  # not asked again
    assert why_failed(follow(dev_row()), (BOOK,), Script({})) == "no call of book"
    assert why_failed(follow(dev_row()), (BOOK,), Script({"Now.": right, "done": right})).startswith("wrong call")
    assert why_failed(follow(dev_row()), (BOOK,), Script({"A table.": Call("book", {})})).startswith("wrong call")


def test_a_held_out_dialogue_is_played_with_its_users_turns_and_results():
    scenario = as_scenario(dev_row())
    assert scenario.user == ("A table.", "Now.", "Yes")
    assert scenario.calls == (WantedCall("book", {"day": ("2019-03-01",)}, "done"),)
    right = Call("book", {"day": "2019-03-01"})
    assert why_failed(play(scenario), scenario.tools, Script({"Now.": right})) == ""


def test_scenarios_are_twenty_and_call_only_what_they_list():
    found = scenarios()
    assert len({scenario.name for scenario in found}) == 20
    for scenario in found:
        tools = {tool.name: tool for tool in scenario.tools}
        for call in scenario.calls:
            assert set(tools[call.name].required) <= set(call.arguments)
            assert set(call.arguments) <= {*tools[call.name].required, *tools[call.name].optional}
