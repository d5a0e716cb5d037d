"""How a static embedder (model2vec, potion) reads a text: as its ``tokenizer.json`` says, no token around it."""
