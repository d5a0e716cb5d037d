"""The row of an embedder that is a decoder (Qwen3-Embedding): its ``tokenizer.json`` makes it, with the end token last.

The manifest has the model's prompts, which clients send, and its pooling and dimensions.
"""
