"""The row of the sentence encoder: its ``tokenizer.json`` makes ``[CLS]`` text ``[SEP]``, in lower case.

`Tokenizer.encode_row` returns these ids. Each model's manifest has its pooling, dimensions and heads, so this module
has no code.
"""
