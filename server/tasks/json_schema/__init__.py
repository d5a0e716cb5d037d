"""JSON Schema, read once for all that must obey it: answers of a format, and the arguments of calls.

``document`` finds schemas and checks what they say; ``parts`` are the values that one allows, a part a JSON type;
``shapes`` works out the parts of a place; ``writing`` says them again as llguidance enforces them. Every refusal names
the keyword and where it stands, as a JSON pointer. Knows no models and no tools.
"""
