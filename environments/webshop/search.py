"""Full-text search as the original's Lucene index answers it, in numpy.

BM25 (Robertson and Zaragoza 2009) in Lucene's form, over Lucene's English analysis: words by the
rules of Unicode Standard Annex 29, no possessive ``'s``, no stop words, stems by Porter (1980);
document lengths are rounded down to what Lucene stores in one byte.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

K1 = 0.9
"""How fast repetitions of a word in a document stop counting."""
B = 0.4
"""How much long documents are held back: 0 not at all, 1 in proportion."""

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
    """Turns text into the stems that are indexed and searched; remembers the stem of each word."""

    def __init__(self) -> None:
        self._stemmer = snowballstemmer.stemmer("porter")
        self._stems: dict[str, str] = {}

    def __call__(self, text: str) -> list[str]:
        """The stems of a text in order, stop words left out.

        >>> Analyzer()("The dog's 2.5 lb bowls")
        ['dog', '2.5', 'lb', 'bowl']
        """
        stems = self._stems
        found = []
        for word in _WORD.findall(text.lower()):
            stem = stems.get(word)
            if stem is None:
                stem = stems[word] = self._stem(word)
            if stem:
                found.append(stem)
        return found

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


class SearchIndex:
    """An inverted index whose postings carry ready-made BM25 scores.

    Args:
        documents: identifier -> text; the order breaks ties.
    """

    def __init__(self, documents: Mapping[str, str]) -> None:
        self.analyze = Analyzer()
        self._names = list(documents)
        self._rows: dict[str, int] = {}
        rows, columns, counts, lengths = array("i"), array("i"), array("i"), array("i")
        for column, text in enumerate(documents.values()):
            stems = self.analyze(text)
            lengths.append(len(stems))
            for stem, count in Counter(stems).items():
                rows.append(self._rows.setdefault(stem, len(self._rows)))
                columns.append(column)
                counts.append(count)
        self._invert(*(np.array(part, dtype=np.int32) for part in (rows, columns, counts, lengths)))

    def _invert(
        self,
        rows: NDArray[np.int32],
        columns: NDArray[np.int32],
        counts: NDArray[np.int32],
        lengths: NDArray[np.int32],
    ) -> None:
        """Group the postings by word and score each: shape of all but `lengths` [postings]."""
        order = np.argsort(rows, kind="stable")
        frequencies = np.bincount(rows, minlength=len(self._rows))
        self._starts = np.concatenate([[0], np.cumsum(frequencies)]).tolist()
        self._columns = columns[order]
        stored = np.array([stored_length(n) for n in lengths.tolist()], dtype=np.float64)
        mean = max(1.0, float(lengths.sum())) / max(1, len(lengths))
        penalty = K1 * (1 - B + B * stored / mean)
        rarity = np.log1p((len(lengths) - frequencies + 0.5) / (frequencies + 0.5))
        saturated = counts / (counts + penalty[columns]) if len(rows) else counts
        self._scores = (rarity[rows] * saturated)[order].astype(np.float32)

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
        if k < len(scores):
            best = np.argpartition(scores, -k)[-k:]
            candidates = np.flatnonzero(scores >= max(scores[best].min(), np.float32(1e-30)))
        else:
            candidates = np.flatnonzero(scores)
        ranked = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        return [self._names[column] for column in ranked.tolist()]

    def scores(self, query: str) -> NDArray[np.float32]:
        """The BM25 score of every document for a query, shape [documents], 0 where none matches."""
        scores = np.zeros(len(self._names), dtype=np.float32)
        for stem, count in Counter(self.analyze(query)).items():
            row = self._rows.get(stem)
            if row is not None:
                part = slice(self._starts[row], self._starts[row + 1])
                scores[self._columns[part]] += count * self._scores[part]
        return scores
