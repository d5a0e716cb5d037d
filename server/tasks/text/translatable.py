"""Is there anything to translate in a text? Numbers, addresses, code and emoji are the same in every language.

Knows nothing of languages: a text with one plain word is to be translated. Tokens and lines may be of any length: where
a pattern has to find something within one, a look ahead finds it, so that it is read twice and not once a character.
"""

import re

ADDRESS_BEGINS = r"(?:(?<![a-zA-Z])[a-zA-Z][a-zA-Z0-9+.-]{0,20}://|www\.|mailto:)"
MAIL_ADDRESS = r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
ADDRESS = (
    ADDRESS_BEGINS + r"(?:\{[^\s{}]{0,80}\}|[^\s<>\"{}]){0,4000}"
    r"(?:\{[^\s{}]{0,80}\}|[^\s<>\"{}.,:;!?'’”»)\]…])"  # what may end an address and not a sentence
    rf"|{MAIL_ADDRESS}"
)
"""An address of the web or of mail, without the punctuation of the sentence it stands in."""


# What a token looks like that no translation changes.
_ADDRESS = rf"{ADDRESS_BEGINS}\S+|{MAIL_ADDRESS}"
TOP_DOMAINS = "com|org|net|io|dev|edu|gov|eu|de|fr|es|uk|at|ch|info"
_DOMAIN = rf"(?:[a-z0-9-]+\.)+(?:{TOP_DOMAINS})(?:/\S*)?"
FILE_TYPES = (
    "py|js|ts|c|h|cc|cpp|rs|go|java|sh|json|toml|yaml|yml|xml|html|css|md|txt|csv|pdf|png|jpg|jpeg|gif|svg|zip|docx?"
    "|xlsx?|pptx?|odt|mp[34]|exe|log|ini|cfg|conf"
)
_PATH = rf"[~.]{{0,2}}/[\w.+@/-]+|[A-Za-z]:\\\S+|[\w-]+\.(?:{FILE_TYPES})"
_IDENTIFIER = (
    r"(?=\w*[a-z0-9]_\w)\w+|_\w+|[a-z]+(?:[A-Z][a-z0-9]*)+|\w+(?:::\w+)+|--[a-zA-Z][\w-]*(?:=\S*)?|-[a-zA-Z]"
    r"|\w+(?:\.\w+)*\((?:(?=[^\s)]*[\d'\"=,])[^\s)]*)?\)?;?|\$\{?\w+\}?|@\w+|#\w+|&\w+;"
)
_PLACEHOLDER = r"\{{1,3}[^{}]*\}{1,3}|%\(?\w{0,30}\)?[sdif]|<[^<>]*>|\[[A-Z0-9_]+\]"
_UNIT = r"[kMG]?[mgBWVAJ]|[cm]m|[kmc]g|ml|cl|km/h|[GMk]?Hz|kWh|TB|KB|px|pt|°[CF]?|%|‰|€|\$|£|EUR|USD|h|s|ms|min|x"
_MEASURE = rf"[-+±~≈<>≤≥$€£¥]{{0,3}}\d[\d.,:/'’\s-]*(?:{_UNIT})?"
_CODE_WITH_DIGIT = r"(?=\S*\d)[A-Z0-9]+(?:[-_./][A-Z0-9]+)*|[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*|v\d+(?:\.\w+)*"
_UNCHANGED = re.compile("|".join((_ADDRESS, _DOMAIN, _PATH, _IDENTIFIER, _PLACEHOLDER, _MEASURE, _CODE_WITH_DIGIT)))
_SPANS = re.compile(rf"`[^`]*`|{_PLACEHOLDER}|(?<![\w./-]){_MEASURE}(?!\w)")
_AROUND = ".,:!?…\"'“”„«»‘’()[]¿¡*~|"
_FIRST_NOT_LATIN = "\u0370"
"""Beyond it a single letter can be a word."""
_LONGEST_CODE_LINE = 200
_CODE_LINE = re.compile(
    r"[\s{}()\[\];,]+"
    r"|(?=.*(?:\w[(\[]|=|\w>|\*)).*[;{]\s*"
    r"|\s*(?:if|else|for|while|switch|try)\b.*\{\s*"
    r"|.*(?:==|!=|=>|->|:=|&&|\|\||\+=|\w\(\)|\w = \w+[(\[]).*"
    r"|\s*[\w.]+\((?=.*['\"=\d]).*\);?\s*"
    r"|\s*(?:def|class|for|if|elif|while|with|async)\s.*[\])\w]:\s*(?<=[\])]:)"
    r"|\s*(?:return|let|const|var|SELECT|INSERT|UPDATE|DELETE)\s.*;\s*"
)


def is_translatable(text: str) -> bool:
    """Whether the text has a word in it."""
    if _is_code(text):
        return False
    rest = _SPANS.sub(" ", text)
    return any(_is_word(token) for token in rest.split())


def _is_word(token: str) -> bool:
    bare = token.strip(_AROUND)
    letters = [character for character in bare if character.isalpha()]
    if not letters or (len(letters) == 1 and letters[0] < _FIRST_NOT_LATIN):
        return False
    return not (_UNCHANGED.fullmatch(bare) or _UNCHANGED.fullmatch(token))


def _is_code(text: str) -> bool:
    """Lines that only a program would have: each of them ends or is joined as in code."""
    lines = [line for line in text.splitlines() if line.strip()]
    if any(len(line) > _LONGEST_CODE_LINE for line in lines):
        return False
    return bool(lines) and all(_CODE_LINE.fullmatch(line) and not _reads_like_prose(line) for line in lines)


def _reads_like_prose(line: str) -> bool:
    """Most of it plain words: "I went home; she stayed;" is prose with an odd end."""
    tokens = line.split()
    plain = sum(1 for token in tokens if token.strip(_AROUND + ";").isalpha())
    return plain >= 4 and plain > 0.7 * len(tokens)
