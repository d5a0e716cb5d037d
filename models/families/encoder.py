"""The row of an encoder from a hub (BERT, DistilBERT, RoBERTa, XLM-R): its ``tokenizer.json`` makes it.

`Tokenizer.encode_row` returns these ids, with the tokens that the file puts around a text. Each model's manifest has
its pooling, dimensions and heads, so this module has no code.
"""
