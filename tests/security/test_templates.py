"""Jinja2 code from strangers: in messages it stays text, in a model's template the sandbox confines it."""

from typing import Any

import pytest

from server.errors import InvalidValue
from server.tasks.generation.chat_template import ChatTemplate

pytestmark = pytest.mark.anyio

ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''['__class__'] }}",
    "{{ messages.__init__.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__globals__ }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '%s'|format(''.__class__) }}",
    "{{ ['__class__']|map('attr', '') }}{{ ['']|map(attribute='__class__')|list }}",
    "{{ (messages|first).__class__.__base__.__subclasses__() }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ messages.append({}) }}",
    "{{ messages[0].update({'role': 'system'}) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.environ }}",
    "{% extends '/etc/passwd' %}",
    "{{ lipsum.__globals__ }}",
]
TOO_MUCH = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops that call nothing": ("{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}"),
    "a loop over itself": "{% for a in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}",
    "macros without end": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "macros that branch": (
        "{% macro f(n) %}{% if n %}{% for x in [1, 2] %}{{ f(n - 1) }}{% endfor %}{% endif %}{% endmacro %}{{ f(40) }}"
    ),
    "output": "{% set x = 'a' * 9999999 %}{% for a in range(9999) %}{{ x }}{% endfor %}",
    "multiplied": "{{ 'a' * 9999999999 }}",
    "multiplied from the left": "{{ 9999999999 * 'a' }}",
    "a list multiplied": "{{ ([1] * 9999999999)|length }}",
    "doubled": "{% set n = namespace(x='aa') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "added": "{% set n = namespace(x='aa') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "a width by percent": "{{ '%9999999999d' % 1 }}",
    "a width by star": "{{ '%*d' % (999999999, 1) }}",
    "a width by format": "{{ '{:9999999999}'.format(1) }}",
    "a width given": "{{ '{:{}}'.format(1, 999999999) }}",
    "a width by filter": "{{ '%9999999999d'|format(1) }}",
    "center": "{{ 'a'|center(9999999999) }}",
    "ljust": "{{ 'a'.ljust(9999999999) }}",
    "zfill": "{{ 'a'.zfill(width=9999999999) }}",
    "indent": "{{ 'a\n'|indent(9999999999, true) }}",
    "replace": "{{ ('a' * 99999)|replace('a', 'b' * 99999) }}",
    "replace by method": "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
    "join": "{{ (['a' * 99999] * 99999)|join }}",
    "join by method": "{{ ('a' * 99999).join(['b'] * 99999) }}",
    "join what is made while it is joined": "{{ range(99999)|map('string')|join('a' * 99999) }}",
    "power": "{{ 9 ** 999999999 }}",
    "lorem ipsum": "{{ lipsum(n=999999999) }}",
    "much work in each turn": (
        "{% set x = 'a' * 9999999 %}{% for a in range(99999) %}{% if 'b' in x %}{% endif %}{% endfor %}"
    ),
}
TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ '' if loop.last else '\n' }}{% endfor %}"


def write(template: str, content: str = "Hi") -> str:
    segments = ChatTemplate(template, ["<|user|>"]).render([{"role": "user", "content": content}])
    return "".join(str(getattr(segment, "text", segment)) for segment in segments)


@pytest.mark.parametrize("text", ESCAPES)
async def test_a_template_in_a_message_is_text(served: Any, text: str) -> None:
    served.say("Fine.")
    message = [{"role": "user", "content": text}]
    response = await served.post("/v1/chat/completions", model="assistant", messages=message)
    assert response.status_code == 200
    shown = (await served.post("/tokenize", model="assistant", messages=message, return_token_strs=True)).json()
    read = (await served.post("/detokenize", model="assistant", tokens=shown["tokens"])).json()["prompt"]
    assert text in read


@pytest.mark.parametrize("template", ESCAPES)
def test_a_models_template_gets_at_nothing_of_python(template: str) -> None:
    try:
        written = write(template)
    except (InvalidValue, ValueError):
        return
    assert not any(sign in written for sign in ("class '", "<function", "environ", "root:", "module")), written


@pytest.mark.parametrize("template", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_models_template_cannot_cost_without_end(template: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        write(template)
    assert len(refused.value.message) < 500


def test_what_templates_do_every_day_they_may() -> None:
    assert write(TURNS, "a" * 1_000_000).endswith("a" * 1000)
    assert write("{{ messages[0].content|replace('i', 'ello')|indent(2) }} {{ '%5.2f' % 3 }} {{ '{:>5}'.format(1) }}")
    many = [{"role": "user", "content": "x" * 50}] * 5000
    assert ChatTemplate(TURNS, ["<|user|>"]).render(many)
    looped = "{% for m in messages[::-1] %}{{ loop.index }}/{{ loop.length }}{{ loop.previtem is defined }}{% endfor %}"
    assert write(looped) == "1/1False"
    assert write("{% for k, v in messages[0]|dictsort %}{{ k ~ '=' ~ v }} {% endfor %}") == "content=Hi role=user "
    assert write("{% for m in messages if m.role == 'none' %}a{% else %}b{% endfor %}") == "b"
    assert write("{{ ['a', 'b']|join(', ') }}{{ messages|map(attribute='role')|join }}") == "a, buser"
