"""Maps language names in hub repositories (``eng_Latn``, ``fra``, ``pt_br``, ``__de__``) to the codes that users know.

A code is ISO 639-1 if the language has one, else ISO 639-3. If a model knows a language in two scripts or regions, the
less usual one has its script or region after the code: ``zh`` and ``zh-Hant``, ``pt`` and ``pt-BR``.
"""

import re
from collections.abc import Iterable, Mapping

_TABLE = """
afr:af aka:ak als:sq amh:am ara:ar arb:ar arg:an asm:as ava:av aym:ay ayr:ay aze:az azj:az bak:ba bam:bm bel:be ben:bn
bis:bi bod:bo bos:bs bre:br bul:bg cat:ca ces:cs cha:ch che:ce chv:cv cmn:zh cor:kw cos:co cre:cr cym:cy dan:da deu:de
div:dv dzo:dz ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr fry:fy ful:ff fuv:ff gaz:om
gla:gd gle:ga glg:gl glv:gv grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ido:io
iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr kaz:kk khk:mn
khm:km kik:ki kin:rw kir:ky kmr:ku knc:kr kom:kv kon:kg kor:ko kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt
ltz:lb lub:lu lug:lg lvs:lv mah:mh mal:ml mar:mr mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr
nde:nd ndo:ng nep:ne nld:nl nno:nn nob:no nor:no npi:ne nya:ny oci:oc oji:oj ori:or orm:om ory:or oss:os pan:pa pbt:ps
pes:fa pli:pi plt:mg pol:pl por:pt pus:ps que:qu quy:qu roh:rm ron:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slv:sl
sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss sun:su swa:sw swe:sv swh:sw tah:ty tam:ta
tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz uzn:uz
ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh ydd:yi yid:yi yor:yo zha:za zho:zh zsm:ms zul:zu
"""
_ISO_639_1 = dict(pair.split(":") for pair in _TABLE.split())
_M2M100 = """
af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu hy id ig
ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so
sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu
"""
M2M100_LANGUAGES = tuple(_M2M100.split())
"""M2M100's languages in the order of their tokens; no file of its repositories lists them."""
_USUAL_SCRIPTS = {"ar": "Arab", "fa": "Arab", "hi": "Deva", "ru": "Cyrl", "sr": "Cyrl", "ur": "Arab", "zh": "Hans"}
"""The usual script of languages whose usual script is not Latin, or that have several."""
_NAME = re.compile(r"([a-z]{2,3})(?:[_-]([A-Z][a-z]{3}))?(?:[_-]([A-Za-z]{2}))?")


def iso_639_1(code: str) -> str | None:
    """The usual code for a code without script or region; None if it is not a language's code."""
    known = set(_ISO_639_1.values())
    return code if code in known else _ISO_639_1.get(code)


def codes(names: Iterable[str]) -> dict[str, str]:
    """Maps usual codes to a model's own names; it leaves out names that are not languages."""
    read = [(name, match) for name in names if (match := _NAME.fullmatch(name))]
    scripts: dict[str, list[str]] = {}
    for _, match in read:
        scripts.setdefault(_code(match[1]), []).append(match[2] or "")
    found: dict[str, str] = {}
    for name, match in read:
        code, script, region = _code(match[1]), match[2] or "", match[3]
        plain = code if script in ("", _usual(code, scripts[code])) else f"{code}-{script}"
        wanted = f"{plain}-{region.upper()}" if region and plain in (code, *found) else plain
        for candidate in (wanted, match[1], name):  # if a language has two names, the first gets the short code
            if candidate not in found:
                found[candidate] = name
                break
    return found


def code_of(name: str) -> str | None:
    """The usual code for one name, without a usual script; None if the name is not a language's."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    code = _code(match[1])
    script = "" if match[2] in (None, _USUAL_SCRIPTS.get(code, "Latn")) else f"-{match[2]}"
    return f"{code}{script}-{match[3].upper()}" if match[3] else f"{code}{script}"


def pairs_of(sources: Mapping[str, str], targets: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Every direction from a source to another target."""
    return tuple((source, target) for source in sources for target in targets if source != target)


def _code(name: str) -> str:
    return _ISO_639_1.get(name, name)


def _usual(code: str, scripts: list[str]) -> str:
    usual = _USUAL_SCRIPTS.get(code, "Latn")
    return usual if usual in scripts else scripts[0]
