"""Other servers' routes, so that their clients work here with another address."""
