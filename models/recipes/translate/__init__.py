"""Recipe of `translate`: one small encoder-decoder for English with German, French, Spanish."""
