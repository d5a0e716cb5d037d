"""How the sentence encoder reads a text: as its ``tokenizer.json`` says, ``[CLS]`` text ``[SEP]``, lower case.

`Tokenizer.encode_row` gives these ids. Pooling, dimensions and heads are in each model's manifest, so there is
nothing left to know here.
"""
