"""How an encoder from a hub (BERT, DistilBERT, RoBERTa, XLM-R) reads a text: as its ``tokenizer.json`` says.

`Tokenizer.encode_row` gives these ids, with the tokens that the file puts around a text. Pooling, dimensions and heads
are in each model's manifest, so there is nothing left to know here.
"""
