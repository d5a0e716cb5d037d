"""Cuts texts into sentences and joins them again; the text between the sentences stays exactly as it was.

Text that needs no translation is kept apart as *gaps*: blank lines, indentation, list markers, spacing, fenced code,
and sentences of only numbers, addresses, code or emoji, which are the same in every language. A line without an end
mark that is as long as a wrapped line continues in the next line. The library sentencex has the rules of each language.
This module knows nothing of models.

Words and lines may have any length. If a pattern must find something inside one, it uses one look-ahead. So it reads
the word or line twice, and not once for each character.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import sentencex

ADDRESS_BEGINS = r"(?:(?<![a-zA-Z])[a-zA-Z][a-zA-Z0-9+.-]{0,20}://|www\.|mailto:)"
MAIL_ADDRESS = r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
ADDRESS = (
    ADDRESS_BEGINS + r"(?:\{[^\s{}]{0,80}\}|[^\s<>\"{}]){0,4000}"
    r"(?:\{[^\s{}]{0,80}\}|[^\s<>\"{}.,:;!?'’”»)\]…])"  # what may end an address and not a sentence
    rf"|{MAIL_ADDRESS}"
)
"""An address of the web or of mail, without the punctuation of the sentence around it."""


# Patterns of words that no translation changes.
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
"""The first character of the scripts after Latin, in which a single letter can be a word."""
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
    """Whether the text contains a word that a translation would change."""
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
    """Whether all lines of the text look like a program's: each of them ends or is joined as in code."""
    lines = [line for line in text.splitlines() if line.strip()]
    if any(len(line) > _LONGEST_CODE_LINE for line in lines):
        return False
    return bool(lines) and all(_CODE_LINE.fullmatch(line) and not _reads_like_prose(line) for line in lines)


def _reads_like_prose(line: str) -> bool:
    """Whether most of the line is plain words: "I went home; she stayed;" is prose with an odd end."""
    tokens = line.split()
    plain = sum(1 for token in tokens if token.strip(_AROUND + ";").isalpha())
    return plain >= 4 and plain > 0.7 * len(tokens)


_FENCE = re.compile(r"[ \t]*(```|~~~)")
_GERMAN_MONTH = "Jan|Feb|März|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez"
_LIST_MARKER = re.compile(
    rf"(?:(?:[-*+•‣◦·–—>]|#{{1,6}}|\(?\d{{1,3}}[.)](?! (?:{_GERMAN_MONTH}))|\(?[a-zA-Z]\))[ \t]+)+"
)
_END_MARK = re.compile(r"[.!?:;…。！？]['\"”’»)\]]*$")
_WRAPPED_CHARACTERS = 50
"""The shortest line that may be a wrapped line. The author ended a shorter line on purpose."""
# The library cuts wrongly after a title or an initial, and in German after an ordinal number.
_TITLE_ENDS = re.compile(
    r"(?:^|[\s(«\"'’“„])(?:[A-ZÀ-Þ]|MM|Mmes?|Mlles?|Mgr|Mrs?|Ms|Messrs|Drs?|Pr|Prof|Profa?|Sra?s?|Srta|Dra|Dña|Hr|Hrn"
    r"|Fr|Frl|St|Ste|Sto|Sta|Gen|Col|Maj|Capt|Cpt|Sgt|Lt|Gov|Sen|Rep|Rev|Hon|d)\.\s+$"
)
_ORDINAL_ENDS = re.compile(
    r"(?:^|\s)(?:[AaIiVv][mn]|[Zz]u[mr]|[Dd](?:er|ie|as|es|em|en)|[Vv]om|[Bb]eim|[Bb]is|[Aa]b|[Ss]eit|[Uu]nd|[Jj]ede[nmrs]?"
    r"|[IVX]+|\d{1,2}\.)\s\d{1,2}\.\s+$"
)
_LONGEST_END = 40
_LIBRARY_CHARACTERS = 4000
# The library fails to cut inside a quotation of any length.
_LONG_CHARACTERS = 100
_SURE_END = re.compile(r"(?<=[a-zß-ÿ]{4}[.!?])[\"”’»)]*\s+(?=[\"“„«(¿¡]*[A-ZÀ-Þ])")


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A text as sentences and the gaps before, between and after them."""

    sentences: tuple[str, ...]
    """The texts to translate, without white space around them."""
    gaps: tuple[str, ...]
    """The texts around the sentences; there is one more gap than sentences."""

    def join(self, sentences: Sequence[str]) -> str:
        """The text with its sentences replaced by these, one for one."""
        parts = [self.gaps[0]]
        for sentence, gap in zip(sentences, self.gaps[1:], strict=True):
            parts += (sentence, gap)
        return "".join(parts)


def split(
    text: str,
    language: str,
    count_tokens: Callable[[str], int] | None = None,
    limit_tokens: int | None = None,
    require_room: Callable[[int], None] = lambda sentences: None,
) -> Skeleton:
    """The sentences of a text.

    Args:
        text: any text; a skeleton joined with its own sentences is this text.
        language: ISO 639-1 code of the text's language.
        count_tokens: counts the tokens of a sentence. With ``limit_tokens``, longer sentences are split at clauses.
        limit_tokens: the most tokens of a sentence.
        require_room: called with the number of sentences so far; it raises an error if these are too many.
    """
    sentences: list[str] = []
    gaps: list[list[str]] = [[]]
    for part, translate in parts_of(text, language):
        if not translate or not is_translatable(part):
            gaps[-1].append(part)
            continue
        pieces = [part]
        if count_tokens is not None and limit_tokens is not None:
            pieces = split_long(part, count_tokens, limit_tokens)
        for piece in pieces:
            core = piece.strip()
            at = piece.index(core)
            gaps[-1].append(piece[:at])
            sentences.append(core)
            gaps.append([piece[at + len(core) :]])
        require_room(len(sentences))
    return Skeleton(tuple(sentences), tuple("".join(gap) for gap in gaps))


def segment(text: str, language: str) -> list[str]:
    """The text cut between its sentences. List markers and code are parts too, and the joined parts are the text."""
    return [part for part, _ in parts_of(text, language)]


def parts_of(text: str, language: str) -> Iterator[tuple[str, bool]]:
    """Yield the text's parts in order: sentences with the space around them (True), and other text (False)."""
    for block, is_text in _blocks(text):
        if not is_text:
            yield block, False
            continue
        indent = len(block) - len(block.lstrip())
        marker = _LIST_MARKER.match(block, indent)
        start = marker.end() if marker else indent
        yield block[:start], False
        for sentence in _sentences(block[start:], language):
            yield sentence, True


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield lines with their line ends. Wrapped lines come together (True), lines of fenced code come alone (False)."""
    block: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if block and (fence or mark or not _goes_on(block[-1], line)):
            yield "".join(block), True
            block = []
        if fence or mark:
            yield line, False
            if not fence and mark:
                fence = mark[1]
            elif mark and mark[1] == fence:
                fence = ""
        else:
            block.append(line)
    if block:
        yield "".join(block), True


def _goes_on(line: str, following: str) -> bool:
    """Whether a sentence of the line continues in the following line."""
    line, following = line.rstrip(), following.strip()
    if len(line) < _WRAPPED_CHARACTERS or _END_MARK.search(line) or not following:
        return False
    return not _LIST_MARKER.match(following)


def _sentences(text: str, language: str) -> Iterator[str]:
    """Yield the library's sentences, with its known wrong cuts corrected."""
    found: list[str] = []
    for chunk in _chunks(text):
        cut: list[str] = sentencex.segment(language, chunk)
        # The library promises to lose nothing. This check makes sure, as `split` depends on that.
        found += cut if "".join(cut) == chunk else [chunk]
    together: list[str] = []
    for sentence in found:
        if together and not _cut_too_early(together[-1], sentence, language):
            yield from _cut_if_long("".join(together))
            together = []
        together.append(sentence)
    yield from _cut_if_long("".join(together))


def _chunks(text: str) -> Iterator[str]:
    """Yield the text in parts that the library reads in milliseconds, as its time is quadratic in quotation marks."""
    start = 0
    while len(text) - start > _LIBRARY_CHARACTERS:
        window = text[start : start + _LIBRARY_CHARACTERS]
        length = max((match.end() for match in _SURE_END.finditer(window)), default=0)
        length = length or window.rfind(" ") + 1 or len(window)
        yield window[:length]
        start += length
    yield text[start:]


def _cut_too_early(before: str, after: str, language: str) -> bool:
    end = before[-_LONGEST_END:]
    if _TITLE_ENDS.search(end):
        return True
    return language == "de" and after[:1].isupper() and _ORDINAL_ENDS.search(end) is not None


def _cut_if_long(text: str) -> list[str]:
    if len(text) <= _LONG_CHARACTERS:
        return [text]
    cuts = [0, *(match.end() for match in _SURE_END.finditer(text)), len(text)]
    return [text[a:b] for a, b in pairwise(cuts)]


# Places to cut a long sentence, best first: the end of a sentence, of a clause, of a phrase, of a word.
_PLACES = (
    re.compile(r"[.!?…。！？]['\"”’»)\]]*\s+|[。！？]"),
    re.compile(r"[;:；：]\s+|\s[–—-]\s+|[；：]"),
    re.compile(r"[,，、]\s+|[)\]]\s+|[，、]"),
    re.compile(r"\s+"),
)
_MIDDLE = 0.2
"""The least part of the sentence on either side of a cut, if a place allows that."""


def split_long(sentence: str, count_tokens: Callable[[str], int], limit_tokens: int) -> list[str]:
    """The sentence in pieces of at most ``limit_tokens`` tokens; the joined pieces are the sentence.

    A word that is too long by itself is cut between characters. A single character is never cut.
    """
    done: list[str] = []
    todo = [sentence]
    while todo:
        part = todo.pop()
        if len(part) < 2 or count_tokens(part) <= limit_tokens:
            done.append(part)
            continue
        at = _best_cut(part)
        todo += (part[at:], part[:at])
    return done


def _best_cut(text: str) -> int:
    """The index of the place nearest to the middle, of the best kind of place that occurs near the middle."""
    middle = len(text) / 2
    for near in (_MIDDLE, 0.0):
        for place in _PLACES:
            cuts = [at for at in _ends(place, text) if near * len(text) < at < (1 - near) * len(text)]
            if cuts:
                return min(cuts, key=lambda at: abs(at - middle))
    return len(text) // 2


def _ends(place: re.Pattern[str], text: str) -> Iterator[int]:
    return (match.end() for match in place.finditer(text))


def chunk(text: str, language: str, count_tokens: Callable[[str], int], limit_tokens: int) -> list[str]:
    """The text in chunks of similar length; the joined chunks are the text.

    Args:
        text: any text.
        language: ISO 639-1 code of the text's language.
        count_tokens: counts the tokens of a text.
        limit_tokens: the most tokens of a chunk. A chunk ends at the end of a sentence. It ends inside a sentence, at a
            clause or a word, only if the sentence alone has more tokens.
    """
    pieces = [part for each in segment(text, language) for part in split_long(each, count_tokens, limit_tokens)]
    sizes = [count_tokens(piece) for piece in pieces]
    left = sum(sizes)
    chunks: list[str] = []
    held: list[str] = []
    tokens = 0
    for piece, size in zip(pieces, sizes, strict=True):
        share = left / max(1, math.ceil(left / limit_tokens))
        if tokens and size and (tokens + size > limit_tokens or tokens + size / 2 > share):
            chunks.append("".join(held))
            left -= tokens
            held, tokens = [], 0
        held.append(piece)
        tokens += size
    chunks.append("".join(held))
    # Tokens differ at the seam of two pieces, so a chunk may have more tokens than its pieces together.
    return [part for each in chunks for part in split_long(each, count_tokens, limit_tokens)]
