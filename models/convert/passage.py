"""The text of the self-checks: prose, other scripts, numbers and code, to cover many parts of a vocabulary."""

PASSAGE = """The harbour was quiet when the ferry came in. Two men were mending nets on the quay, and a dog slept in \
the shade of an upturned boat. "You're early," said the older one, without looking up. "We had the wind behind us." \
By 9:45 the first passengers had gone ashore: a schoolteacher with 14 children, three nurses, a man selling maps at \
$2.50 each (or 5 for $10). It had rained in the night and the streets smelled of dust and oranges.

Why do we sleep? Nobody knows for certain, although most animals do it in one form or another. Sleep restores \
what the day has used up, sorts what was learned, and keeps the body out of danger in the dark. A person who \
stays awake for three days begins to see things that are not there; after eleven days, the longest anyone has \
been observed, speech slows and memory fails, yet a single long night puts nearly everything right again.

Der Zug nach München fährt um 17:20 Uhr von Gleis 3 ab; bitte seien Sie pünktlich. Le musée est fermé le lundi, sauf \
pendant les vacances d'été. ¿Dónde está la biblioteca más cercana? Доброе утро, как дела? 今日はとても暑いですね。\
我们明天早上见。 مرحبا بكم في المدينة. Ευχαριστώ πολύ! 🙂

def mean(values: list[float]) -> float:
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)

{"name": "get_weather", "arguments": {"city": "Lisbon", "days": 3}}

1. Boil two litres of water. 2. Add 10 g of salt and 500 g of pasta. 3. Stir now and then for eight to eleven minutes. \
4. Keep a cup of the water, drain the rest, and mix the pasta with the sauce. It serves four people, or two who have \
walked all day.
"""

HARD_TEXTS = (
    "def f(x):\n    if x:\n        return {'a': [1, 2,  3]}\n\treturn None\n\n\n",
    "  two spaces before,   three between, and some behind   ",
    "3.14159 1000000 2024-02-29 \u0664\u0665\u0666 \u096a\u096b",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1ee \U0001f44d\U0001f3fd",
    "na\u00efve co\u00f6perate \u017b\u00f3\u0142\u0107 \u6f22\u5b57\u304b\u306a \u0e20\u0e32 \u05e9\u05dc",
    "<b>bold</b> &amp; \"quoted\" \\n it's it'S \u201cso\u201d \u2014 \u20ac5",
    "=" * 40 + "\n" + " " * 33 + "x\n" + "\n" * 5,
)
"""Texts of which tokenizers have lost parts; encoding and decoding must not change them."""
