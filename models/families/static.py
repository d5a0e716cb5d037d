"""The row of a static embedder (model2vec, potion): its ``tokenizer.json`` makes it, without tokens around the text."""
