"""The input of T5, Flan-T5 and mT5: one text that states its task in words, without earlier turns.

The input for a conversation has its system messages and its last user message. The module drops earlier turns, since
these models were never trained on any.
"""

from models.families.hub import chat_messages as chat_messages
from models.families.hub import template_messages as template_messages

TEMPLATE = """\
{%- if messages[-1].role != 'user' %}{{ raise_exception('the last message must be of the user') }}{% endif -%}
{%- for message in messages if message.role == 'system' %}{{ message.content + '\\n' }}{% endfor -%}
{{ messages[-1].content }}"""
"""The template for repositories without one; no known T5 repository has a template."""
