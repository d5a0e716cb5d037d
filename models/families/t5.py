"""How T5, Flan-T5 and mT5 read a request: one text with its task in words, and nothing of what was said before.

A conversation is its system messages and its last user message. Earlier turns are not read: these models were never
trained on any.
"""

from models.families.hub import chat_messages as chat_messages
from models.families.hub import template_messages as template_messages

TEMPLATE = """\
{%- if messages[-1].role != 'user' %}{{ raise_exception('the last message must be of the user') }}{% endif -%}
{%- for message in messages if message.role == 'system' %}{{ message.content + '\\n' }}{% endfor -%}
{{ messages[-1].content }}"""
"""For repositories that have no template, which is all that are known."""
