"""Whole made-up dialogues from service schemas: the assistant asks for missing facts, repeats known ones, then calls.

One dialogue has up to three errands. Facts come in any order, several in one turn, in the system message, or with the
errand before ("same name"). People correct themselves. Before most calls the assistant writes down all known facts. It
makes every call once, even if the user agrees afterwards. If a call fails, it asks for another value. Original text;
the words come from the caller.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from models.families.hearth_assistant import Call, Message, Tool
from models.recipes.assistant.days import any_day, says_today
from models.recipes.assistant.errands import ERRANDS, SYNONYMS, Errand, Slot
from models.recipes.assistant.fallback import fallback, general_request, system_prompt
from models.recipes.assistant.phrases import (
    AGAIN,
    ASK,
    ASK_TWO,
    BYE,
    CHECK,
    CORRECTIONS,
    DONE,
    FAULTS,
    FOUND,
    KNOWN,
    LATER,
    NEXT,
    NOTED,
    OPENINGS,
    PERSONA,
    REMIND,
    REMINDED,
    SORRY,
    SPARE_FACTS,
    STANDS,
    STATES,
    SURE,
    TAKE_BACK,
    TAKEN_BACK,
    THANKS,
    TOLD,
    YES,
)
from models.recipes.assistant.values import SAID, Value, identifier, name, value

_STRANGE_SHARE = 0.25  # of the arguments' names: a word that no service has
_MOST_TOOLS = 4


@dataclass(slots=True)
class _Task:
    """One errand under way: its tool as listed, names of arguments, and their values."""

    errand: Errand
    tool: Tool
    keys: dict[str, Slot]
    undo: Tool | None = None
    values: dict[str, Value] = field(default_factory=dict)


class MadeDialogue:
    """Writes one dialogue."""

    def __init__(self, words: Sequence[str], rng: random.Random) -> None:
        self._words, self._rng = words, rng
        self._today: date | None = any_day(rng) if rng.random() < 0.65 else None
        self._anchor = self._today or any_day(rng)
        self._messages: list[Message] = []
        self._names: set[str] = set()  # of the tools so far
        self._facts: dict[str, str] = {}  # what the system message says of the customer, by argument
        self._spell = rng.choices((str, str.lower, str.upper), (76, 16, 8))[0]

    def write(self) -> tuple[list[Message], list[Tool]]:
        """The messages and the tools listed for them."""
        rng = self._rng
        tasks = [self._task(errand) for errand in rng.sample(ERRANDS, rng.choices((1, 2, 3), (55, 33, 12))[0])]
        spare = [self._task(errand) for errand in rng.sample(ERRANDS, rng.randint(0, 2))]
        system = self._system(tasks)
        for place, task in enumerate(tasks):
            self._errand(task, NEXT if place else OPENINGS)
            if rng.random() < 0.3 and len(task.keys) > 1:
                self._second(task)
        if rng.random() < 0.8:
            self._say(rng.choice(THANKS))
            self._answer(rng.choice(BYE))
        tools = [tool for task in (*tasks, *spare) for tool in (task.tool, task.undo) if tool is not None]
        called = {call.name for message in self._messages for call in message.calls}
        needed = [tool for tool in tools if tool.name in called]
        others = [tool for tool in tools if tool.name not in called]
        listed = [*needed, *others[: max(0, _MOST_TOOLS - len(needed))]]
        rng.shuffle(listed)
        return [*([Message("system", system)] if system else []), *self._messages], listed

    def _task(self, errand: Errand) -> _Task:
        rng, keys = self._rng, dict[str, Slot]()
        for slot in errand.slots:
            key = self._other(rng.choice(slot.names))
            if rng.random() < _STRANGE_SHARE:
                word = rng.choice(self._words).lower()
                key = rng.choice((f"{word}_{key}", f"{key}_{word}", f"{word}_{slot.kind}"))
            if key not in keys:
                keys[key] = slot
        tool = _tool(self._new_name(errand.tools), keys)
        undo = None
        if errand.undo and errand.gives and rng.random() < 0.6:
            undo = Tool(self._new_name(errand.undo), (self._other(rng.choice(errand.gives)),))
        return _Task(errand, tool, keys, undo)

    def _other(self, words: str) -> str:
        """A name, some of its words others that mean nearly the same."""
        rng = self._rng
        said = (rng.choice((word, *SYNONYMS[word])) if word in SYNONYMS else word for word in words.split("_"))
        return "_".join(said) if rng.random() < 0.6 else words

    def _new_name(self, names: Sequence[str]) -> str:
        """One of the names, with a word after it where another tool of the dialogue has it."""
        chosen = self._other(self._rng.choice(names))
        while chosen in self._names:
            chosen = f"{chosen}_{self._rng.choice(self._words).lower()}"
        self._names.add(chosen)
        return chosen

    def _system(self, tasks: Sequence[_Task]) -> str:
        """The system message: the employer, the day, facts about the customer, irrelevant facts."""
        rng = self._rng
        lines = []
        if rng.random() < 0.5:
            company = f"{name(rng)} {rng.choice(self._words).capitalize()}"
            lines.append(rng.choice((system_prompt(rng), rng.choice(PERSONA).format(company))))
        for task in tasks:
            for key, slot in task.keys.items():
                if (
                    slot.kind in ("identifier", "person", "phone")
                    and task.errand.slots[0] is not slot
                    and rng.random() < 0.3
                ) or ("customer_id" in slot.names and rng.random() < 0.6):
                    self._know(key, slot, lines)
        if rng.random() < 0.25:
            lines.append(rng.choice(SPARE_FACTS).format(name(rng)))
        rng.shuffle(lines)
        if self._today:
            lines.insert(rng.randint(0, len(lines)), says_today(self._today, rng))
        return " ".join(lines)

    def _know(self, key: str, slot: Slot, lines: list[str]) -> None:
        """The system message names the value of an argument."""
        fact = self._facts[key] = value(slot.kind, None, self._anchor, self._words, self._rng).called
        lines.append(self._rng.choice(KNOWN).format(_spoken(key), fact))

    def _errand(self, task: _Task, openings: Sequence[str]) -> None:
        """From the first wish to the end of one errand."""
        rng = self._rng
        for key, slot in task.keys.items():
            if key in self._facts:
                task.values[key] = Value("", self._facts[key])
            elif slot.required or rng.random() < 0.35:
                task.values[key] = self._value(slot)
        untold = [key for key in task.values if key not in self._facts]
        rng.shuffle(untold)
        told = rng.choice((0, rng.randint(0, len(untold)), len(untold)))
        first, rest = untold[:told], untold[told:]
        direct, named = self._direct(task)
        if direct and rng.random() < 0.5:
            others = [key for key in first if key not in named]
            self._say(f"{direct}{rng.choice((', ', '. ')) if others else ''}{self._told(task, others)}")
            self._collect(task, [key for key in rest if key not in named])
            return
        opening = self._spell(rng.choice(openings).format(rng.choice(task.errand.asked)))
        self._say(" ".join((opening, self._told(task, first))).strip() if first else opening)
        self._collect(task, rest)

    def _direct(self, task: _Task) -> tuple[str, list[str]]:
        """A request that names values, and their arguments; nothing where one of them is not the user's to say."""
        request = self._rng.choice(task.errand.direct)
        keys = {task.errand.slots.index(slot): key for key, slot in task.keys.items()}
        named = [keys.get(int(place), "") for place in re.findall(r"{(\d)}", request)]
        if any(key not in task.values or key in self._facts for key in named):
            return "", []
        values = [
            task.values[key].said if (key := keys.get(place)) in task.values else ""
            for place in range(len(task.errand.slots))
        ]
        for place, key in keys.items():
            if key in named and task.keys[key].kind == "day":
                values[place] = _on(task.values[key].said)
        return self._spell(request).format(*values), named

    def _second(self, task: _Task) -> None:
        """The same errand once more: some values stay as they were, the others are new."""
        rng = self._rng
        keys = [key for key in task.values if key not in self._facts]
        if not keys:
            return
        changed = [key for key in keys if rng.random() < 0.6] or keys[:1]
        for key in changed:
            task.values[key] = self._value(task.keys[key], task.values[key])
        rng.shuffle(changed)
        said = self._told(task, changed)
        kept = [key for key in keys if key not in changed]
        if kept:
            same = rng.choice(("same {}", "the {} stays the same", "with the same {}"))
            said += rng.choice((", ", ". ")) + rng.choice(
                (same.format(" and ".join(map(_spoken, kept))), "the rest as before")
            )
        self._say(f"{self._spell(rng.choice(AGAIN))} {said}")
        self._collect(task, [])

    def _collect(self, task: _Task, rest: list[str]) -> None:
        """Ask for what is missing, then check, call and answer."""
        rng = self._rng
        while missing := [key for key in task.keys if key in rest and task.keys[key].required]:
            wanted = missing[:2] if len(missing) > 1 and rng.random() < 0.3 else missing[:1]
            questions = ASK_TWO if len(wanted) == 2 else ASK
            self._answer(rng.choice(questions).format(*map(_spoken, wanted)))
            told = [*wanted, *(key for key in rest if key not in wanted and rng.random() < 0.25)]
            if rng.random() < 0.12 and len(rest) > 1:  # another fact than the one asked for
                told = [rng.choice([key for key in rest if key not in wanted] or wanted)]
            rng.shuffle(told)
            rest = [key for key in rest if key not in told]
            self._say(self._told(task, told))
            if rng.random() < 0.06:
                self._detour()
        known = [key for key in task.values if key not in rest]
        for key in [key for key in task.values if key in rest]:
            del task.values[key]  # optional, and nobody asked
        if rng.random() < 0.08 and rest == [] and known:
            self._correct(task)
        if rng.random() < 0.6:
            self._answer(rng.choice(CHECK).format(self._state(task)))
            if rng.random() < 0.12 and self._correct(task, noted=False) and rng.random() < 0.5:
                self._answer(rng.choice(CHECK).format(self._state(task)))
                self._say(self._spell(rng.choice(YES)))
            elif self._messages[-1].role == "assistant":
                self._say(self._spell(rng.choice(YES)))
        self._call(task)

    def _correct(self, task: _Task, *, noted: bool = True) -> bool:
        """Another value for a fact after it was said."""
        rng = self._rng
        keys = [key for key in task.values if key not in self._facts]
        if not keys or (noted and self._messages[-1].role != "user"):
            return False
        key = rng.choice(keys)
        old = task.values[key]
        new = self._value(task.keys[key], old)
        if noted:
            if len(self._messages) < 2:
                return False
            self._answer(rng.choice(CHECK).format(self._state(task)))
        task.values[key] = new
        self._say(self._spell(rng.choice(LATER)).replace("{OLD}", "{old}").format(new.said, old=old.said))
        if noted:
            self._answer(rng.choice(NOTED).format(f"{_spoken(key)} {new.called}"))
            self._say(self._spell(rng.choice(YES)))
        return True

    def _call(self, task: _Task) -> None:
        rng = self._rng
        retried = [key for key in task.values if task.keys[key].kind in ("day", "time") and key not in self._facts]
        if retried and rng.random() < 0.15:
            key = rng.choice(retried)
            fault = rng.choice(FAULTS).format(_spoken(key))
            self._made(task, {rng.choice(("error", "status")): fault})
            self._answer(rng.choice(SORRY).format(fault, _spoken(key)))
            task.values[key] = self._value(task.keys[key], task.values[key])
            self._say(f"{rng.choice(('Then', 'OK,', 'What about', 'Maybe'))} {task.values[key].said}")
        result: dict[str, str] = {key: rng.choice(TOLD[key]) for key in task.errand.tells}
        if not task.errand.tells:
            result["status"] = rng.choice(STATES)
        given = ""
        if task.errand.gives:
            given = task.undo.required[0] if task.undo else rng.choice(task.errand.gives)
            result[given] = identifier(rng)
        if rng.random() < 0.25 and task.values:
            key = rng.choice(list(task.values))
            result = {key: task.values[key].called, **result}
        self._made(task, result)
        told = ", ".join(f"{_spoken(key)} {text}" for key, text in result.items())
        state = rng.choice((told, told, f"{self._state(task)}; {told}"))
        self._answer(rng.choice(FOUND if task.errand.tells and not task.errand.gives else DONE).format(state))
        if rng.random() < 0.2:
            self._say(self._spell(rng.choice(YES)))
            self._answer(rng.choice((*BYE, rng.choice(STANDS).format(told))))
        if rng.random() < 0.15:
            key, text = rng.choice([*result.items(), *((key, one.called) for key, one in task.values.items())])
            self._say(self._spell(rng.choice(REMIND)).format(_spoken(key)))
            self._answer(rng.choice(REMINDED).format(_spoken(key), text))
        if task.undo and given and rng.random() < 0.35:
            self._undo(task.undo, given, result[given])

    def _undo(self, tool: Tool, key: str, code: str) -> None:
        """The user cancels the last booking, by the identifier in its result."""
        rng = self._rng
        self._say(self._spell(rng.choice(TAKE_BACK)))
        if rng.random() < 0.5:
            self._answer(rng.choice(SURE).format(code))
            self._say(self._spell(rng.choice(YES)))
        self._messages.append(Message("assistant", "", (Call(tool.name, {key: code}),)))
        status = rng.choice(("cancelled", "done", "ok"))
        self._messages.append(Message("tool", f"status: {status}"))
        self._answer(rng.choice(TAKEN_BACK).format(code))

    def _detour(self) -> None:
        """A question off the topic, before the next question of the assistant."""
        self._answer(fallback(self._rng))  # to the user's turn before, which is made that question
        last = self._messages[-2]
        self._messages[-2:] = [
            last,
            Message("assistant", "All right."),
            Message("user", general_request(self._words, self._rng)),
            self._messages[-1],
        ]
        self._say("OK.")

    def _made(self, task: _Task, result: dict[str, str]) -> None:
        arguments = {key: task.values[key].called for key in task.keys if key in task.values}
        self._messages.append(Message("assistant", "", (Call(task.tool.name, arguments),)))
        self._messages.append(Message("tool", "; ".join(f"{key}: {text}" for key, text in result.items())))

    def _value(self, slot: Slot, other_than: Value | None = None) -> Value:
        made = value(slot.kind, self._today, self._anchor, self._words, self._rng)
        while other_than is not None and made.called == other_than.called:
            made = value(slot.kind, self._today, self._anchor, self._words, self._rng)
        if self._spell is not str and made.said != made.called:
            return Value(self._spell(made.said), made.called)
        return made

    def _told(self, task: _Task, keys: Sequence[str]) -> str:
        """Facts as somebody says them in one turn, sometimes with a correction."""
        rng, said = self._rng, []
        for key in keys:
            kind, now = task.keys[key].kind, task.values[key]
            phrase = rng.choice(
                SAID.get(kind, ("the {key} is {}", "{key} {}", "{}"))
                if rng.random() < 0.8
                else ("the {key} is {}", "{key}: {}", "{key} {}")
            )
            if len(keys) > 1 and phrase == "{}" and kind not in ("day", "time", "people", "nights"):
                phrase = rng.choice(("{key} {}", "the {key} is {}"))
            told = now.said
            if rng.random() < 0.06 and (other := self._value(task.keys[key]).said) != told:
                told = rng.choice(CORRECTIONS).format(other, told)
            if phrase == "on {}" and kind == "day":
                phrase, told = "{}", _on(told)
            said.append(self._spell(phrase.replace("{key}", _spoken(key))).format(told))
        joined = rng.choice((", ", ", ", " and ", ". ")).join(said)
        return joined + rng.choice(("", ".", " please", ", thanks")) if rng.random() < 0.5 else joined

    def _state(self, task: _Task) -> str:
        """All known facts, in the form of a call."""
        if not task.values:
            return _spoken(task.tool.name)
        return ", ".join(f"{_spoken(key)} {task.values[key].called}" for key in task.keys if key in task.values)

    def _say(self, text: str) -> None:
        if self._messages and self._messages[-1].role == "user":
            self._messages[-1] = Message("user", f"{self._messages[-1].content} {text}")
        else:
            self._messages.append(Message("user", text))

    def _answer(self, text: str) -> None:
        self._messages.append(Message("assistant", text))


def made_dialogue(words: Sequence[str], rng: random.Random) -> tuple[list[Message], list[Tool]]:
    """One made-up dialogue, with a system message in most, and the tools listed for it; no call is made twice."""
    while True:
        messages, tools = MadeDialogue(words, rng).write()
        calls = [(call.name, tuple(call.arguments.items())) for message in messages for call in message.calls]
        if len(set(calls)) == len(calls):
            return messages, tools


def _tool(name_of_tool: str, keys: dict[str, Slot]) -> Tool:
    required = tuple(key for key, slot in keys.items() if slot.required)
    return Tool(name_of_tool, required, tuple(key for key, slot in keys.items() if not slot.required))


def _on(day: str) -> str:
    """A day with "on" before it where that is said."""
    return day if day.lower().startswith(("to", "next ", "this ", "in ", "the day after")) else f"on {day}"


def _spoken(key: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in key).replace("_", " ").strip()
