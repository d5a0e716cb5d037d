"""How an embedder that is a decoder (Qwen3-Embedding) reads a text: as its ``tokenizer.json`` says, the end token last.

Its prompts are in the manifest, for clients to send; pooling and dimensions are there too.
"""
