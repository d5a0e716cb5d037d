"""What an address looks like: one pattern for all who look for addresses in text that anybody may have written.

Each part has a bound, and what may begin an address is looked at from its first character alone: the time to search a
text is proportional to its length, whatever the text is.
"""

ADDRESS_BEGINS = r"(?:(?<![a-zA-Z])[a-zA-Z][a-zA-Z0-9+.-]{0,20}://|www\.|mailto:)"
MAIL_ADDRESS = r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
ADDRESS = (
    ADDRESS_BEGINS + r"(?:\{[^\s{}]{0,80}\}|[^\s<>\"{}]){0,4000}"
    r"(?:\{[^\s{}]{0,80}\}|[^\s<>\"{}.,:;!?'’”»)\]…])"  # what may end an address and not a sentence
    rf"|{MAIL_ADDRESS}"
)
"""An address of the web or of mail, without the punctuation of the sentence it stands in."""
