"""The colour words by which the reward takes "navy blue" for "blue"."""

from __future__ import annotations

_WORDS = (
    "alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown "
    "burgundy camel camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee "
    "cognac copper coral cranberry cream crystal dark denim eggplant elephant espresso fuchsia "
    "gold granite grape graphite grass gray green grey heather indigo ivory ivy khaki lavender "
    "lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor "
    "mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red "
    "rose royal rust sand sapphire seashell silver skull slate steel stone stonewash sunflower tan "
    "taupe teal tiger turquoise violet walnut wheat white wine yellow"
)
COLORS = tuple(_WORDS.split())
"""In the order in which they are tried; that of the original."""


def normalize_color(option: str | tuple[str, str]) -> str:
    """The first colour word that an option has, or the option as text if it has none.

    A word counts wherever it stands in a value. Of a ``(name, value)`` pair, name or value must be
    the colour word itself; a pair without one becomes the text that Python prints for it.

    >>> normalize_color("dark navy stripes"), normalize_color("fits 12 inch")
    ('dark', 'fits 12 inch')
    >>> normalize_color(("color", "navy")), normalize_color(("color", "navy stripes"))
    ('navy', "('color', 'navy stripes')")
    """
    return next((color for color in COLORS if color in option), str(option))
