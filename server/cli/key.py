"""``hearth key``: a fresh API key. It is shown once and kept nowhere; the server is given its hash."""

import hashlib
import json
import secrets

PREFIX = "sk-hearth-"
RANDOM_BYTES = 32
"""So many that nobody guesses them, and a plain SHA-256 keeps them."""


def make_key(name: str) -> int:
    """Print a new key and what the server is to be told of it."""
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    digest = hashlib.sha256(key.encode()).hexdigest()
    print(f"# for the client, shown only now: {key}")
    if name:
        print(f'[[keys]]\nname = {json.dumps(name)}\nsha256 = "{digest}"')
    else:
        print(f"sha256 {digest}")
    return 0
