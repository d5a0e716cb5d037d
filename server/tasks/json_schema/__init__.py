"""JSON Schema, read in the same way for answers of a format and for the arguments of tool calls.

``document`` finds the schemas in a document and checks their keywords. ``parts`` describes the values that a schema
allows, one part for each JSON type. ``shapes`` computes the parts of each schema. ``writing`` writes the parts as a
schema that llguidance enforces exactly. Every refusal names the keyword and its place, as a JSON pointer. This package
knows no models and no tools.
"""
