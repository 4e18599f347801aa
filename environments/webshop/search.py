"""Full-text search as the original's Lucene index answers it, in numpy.

BM25 (Robertson and Zaragoza 2009) in Lucene's form, over Lucene's English analysis: words by the
rules of Unicode Standard Annex 29, no possessive ``'s``, no stop words, stems by Porter (1980);
document lengths are rounded down to what Lucene stores in one byte.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, islice

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

K1 = 0.9
"""How fast repetitions of a word in a document stop counting."""
B = 0.4
"""How much long documents are held back: 0 not at all, 1 in proportion."""
BLOCK = 8192
"""How many documents are counted at once: more take more memory, not less time."""
STEMS_REMEMBERED = 2**18
"""How many words an analyzer keeps the stems of."""

Integers = NDArray[np.int32]

_STOP_WORDS = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())

# Letters, digits and underscores, joined over one mark between letters or between digits.
_LETTERS = (
    r"\w+(?:(?:(?<=[^\W\d_])[:.'\u2018\u2019\u00b7](?=[^\W\d_])"
    r"|(?<=\d)[,;.'\u2018\u2019](?=\d))\w+)*"
)
# Unicode's pictographs, which Lucene indexes one by one: ranges of code points.
_PICTOGRAPH = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u2388\u23cf"
    "\u23e9-\u23f3\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605"
    "\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2714\u2716\u271d\u2721\u2728\u2733"
    "\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763-\u2767\u2795-\u2797\u27a1\u27b0"
    "\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f0ff\U0001f300-\U0001f3fa\U0001f400-\U0001f64f\U0001f680-\U0001f6ff"
    "\U0001f774-\U0001f77f\U0001f90c-\U0001faff]"
)
_WORD = re.compile(rf"{_LETTERS}|{_PICTOGRAPH}\ufe0f?(?:\u200d{_PICTOGRAPH}\ufe0f?)*")
_POSSESSIVE = re.compile(r"['\u2019\uff07]s$")


class Analyzer:
    """Turns text into the stems that are indexed and searched; remembers the stems of words."""

    def __init__(self) -> None:
        self._stemmer = snowballstemmer.stemmer("porter")
        self._remembered = lru_cache(maxsize=STEMS_REMEMBERED)(self._stem)

    def __call__(self, text: str) -> list[str]:
        """The stems of a text in order, stop words left out.

        >>> Analyzer()("The dog's 2.5 lb bowls")
        ['dog', '2.5', 'lb', 'bowl']
        """
        return list(filter(None, map(self._remembered, _WORD.findall(text.lower()))))

    def _stem(self, word: str) -> str:
        word = _POSSESSIVE.sub("", word)
        if word in STOP_WORDS:
            return ""
        return word if len(word) <= 2 else str(self._stemmer.stemWord(word))


def stored_length(length: int) -> int:
    """The document length that Lucene's one-byte norm stands for: exact to 39, then rounded down.

    Above 24, four significant bits of the excess are kept.

    >>> [stored_length(n) for n in (7, 40, 41, 100, 1000)]
    [7, 40, 40, 96, 984]
    """
    if length < 24:
        return length
    excess = length - 24
    dropped_bits = max(0, excess.bit_length() - 4)
    return 24 + (excess >> dropped_bits << dropped_bits)


def _blocks(texts: Iterator[str]) -> Iterator[list[str]]:
    while block := list(islice(texts, BLOCK)):
        yield block


class SearchIndex:
    """An inverted index whose postings carry ready-made BM25 scores.

    Args:
        documents: identifier -> text; the order breaks ties.
    """

    def __init__(self, documents: Mapping[str, str]) -> None:
        self.analyze = Analyzer()
        self._names = list(documents)
        self._rows: defaultdict[str, int] = defaultdict(count().__next__)
        texts = iter(documents.values())
        blocks = [self._read(block, position) for position, block in enumerate(_blocks(texts))]
        self._rows.default_factory = None
        if blocks:
            postings = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
            del blocks
            self._invert(*postings)

    def _read(self, texts: Sequence[str], block: int) -> tuple[Integers, ...]:
        """Count the words of one block of documents.

        Returns:
            For each pair of a word and a document that has it, the word's row, the document's
            column and the repetitions, shape [postings] each; and the lengths, shape [texts].
        """
        words, lengths = array("i"), array("i")
        for text in texts:
            stems = self.analyze(text)
            lengths.append(len(stems))
            words.extend(map(self._rows.__getitem__, stems))
        columns = np.repeat(np.arange(len(texts)), lengths)
        pairs = np.array(words, dtype=np.int64) * BLOCK + columns
        pairs, repetitions = np.unique(pairs, return_counts=True)
        rows, columns = np.divmod(pairs, BLOCK)
        columns += block * BLOCK
        parts = (rows, columns, repetitions, lengths)
        return tuple(np.array(part, dtype=np.int32) for part in parts)

    def _invert(
        self, rows: Integers, columns: Integers, repetitions: Integers, lengths: Integers
    ) -> None:
        """Group the postings by word, and score each."""
        frequencies = np.bincount(rows, minlength=len(self._rows))
        self._starts = [0, *np.cumsum(frequencies).tolist()]
        stored = np.array([stored_length(length) for length in lengths.tolist()])
        penalty = (K1 * (1 - B + B * stored / max(1.0, lengths.mean()))).astype(np.float32)
        rarity = np.log1p((len(lengths) - frequencies + 0.5) / (frequencies + 0.5))
        scores = repetitions.astype(np.float32)
        scores /= scores + penalty[columns]
        scores *= rarity.astype(np.float32)[rows]
        order = np.argsort(rows, kind="stable").astype(np.int32)
        self._columns, self._scores = columns[order], scores[order]

    def __len__(self) -> int:
        return len(self._names)

    def search(self, query: str, k: int = 50) -> list[str]:
        """The identifiers of the `k` best documents, best first; only documents that score.

        A word counts as often as the query repeats it; ties go to the earlier document.

        Raises:
            ValueError: `k` is not positive.
        """
        if k < 1:
            raise ValueError(f"k is {k}; a search returns at least one document.")
        scores = self.scores(query)
        lowest = np.partition(scores, -k)[-k] if k < len(scores) else 0
        candidates = np.flatnonzero(scores >= lowest if lowest > 0 else scores)
        ranked = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        return [self._names[column] for column in ranked.tolist()]

    def scores(self, query: str) -> NDArray[np.float32]:
        """The BM25 score of every document for a query, shape [documents], 0 where none matches."""
        scores = np.zeros(len(self._names), dtype=np.float32)
        for stem, repetitions in Counter(self.analyze(query)).items():
            row = self._rows.get(stem)
            if row is not None:
                part = slice(self._starts[row], self._starts[row + 1])
                scores[self._columns[part]] += repetitions * self._scores[part]
        return scores
