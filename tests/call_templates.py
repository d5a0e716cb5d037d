"""Short chat templates that call tools in the forms of several makers."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.families.call_finding import call_form
from models.families.call_forms import CallForm
from server.errors import InvalidValue
from server.tasks.generation.chat_template import ChatTemplate

TURNS = """{%- if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role + '\\n' + message.content }}"""
END = """<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
HERMES = f"""{TURNS}
{{%- for call in message.tool_calls or [] %}}{{{{ '\\n' }}}}<tool_call>
{{"name": "{{{{ call.function.name }}}}", "arguments": {{{{ call.function.arguments | tojson }}}}}}
</tool_call>
{{%- endfor %}}{END}"""
LLAMA = f"""{TURNS}
{{%- if message.tool_calls %}}
{{%- if message.tool_calls | length > 1 %}}{{{{ raise_exception('one call at once') }}}}{{% endif %}}
{{%- set call = message.tool_calls[0].function %}}
{{#- <|python_tag|> is for code -#}}
{{{{- '{{"name": "' + call.name + '", "parameters": ' }}}}{{{{ call.arguments | tojson }}}}}}
{{%- endif %}}{END}"""
XML = f"""{TURNS}
{{%- for call in message.tool_calls or [] %}}{{{{ '\\n<tool_call>\\n<function=' + call.function.name + '>\\n' }}}}
{{%- for key, value in call.function.arguments | items %}}
{{{{- '<parameter=' + key + '>\\n' }}}}{{{{ value if value is string else value | tojson }}}}
{{{{- '\\n</parameter>\\n' }}}}
{{%- endfor %}}{{{{ '</function>\\n</tool_call>' }}}}
{{%- endfor %}}{END}"""
PYTHON = f"""{TURNS}
{{%- if message.tool_calls %}}<|calls|>[
{{%- for call in message.tool_calls %}}{{{{ call.function.name }}}}(
{{%- for key, value in call.function.arguments | items %}}{{{{ key }}}}=
{{%- if value is string %}}'{{{{ value }}}}'{{% else %}}{{{{ value | tojson }}}}{{% endif %}}
{{%- if not loop.last %}}{{{{ ', ' }}}}{{% endif %}}{{% endfor %}})
{{%- if not loop.last %}}{{{{ ', ' }}}}{{% endif %}}{{% endfor %}}]<|/calls|>
{{%- endif %}}{END}"""


def found_form(template: ChatTemplate, stop_tokens: Sequence[str] = ("<|im_end|>",)) -> CallForm | None:
    """The form of a template's calls."""

    def render(messages: Sequence[Mapping[str, Any]], tools: Any, prompt: bool) -> str:
        try:
            return template.text(messages, tools, add_generation_prompt=prompt)
        except InvalidValue as error:
            raise ValueError from error

    return call_form(render, template.source, stop_tokens)


def form_of(source: str) -> CallForm:
    form = found_form(ChatTemplate(source, ()))
    assert form is not None, source
    return form
