"""Pages, clickables and rewards against 100 episodes that the original environment played.

The data are not part of the project: `AGENTRL_WEBSHOP_DATA` names their folder.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environments.webshop import Catalogue, WebShop

DATA = Path(
    os.environ.get(
        "AGENTRL_WEBSHOP_DATA",
        Path(__file__).parents[3] / "shared" / "data" / "webshop",
    )
)
EPISODES = DATA / "reference" / "episodes.jsonl"
RESULTS_A_PAGE = 10

pytestmark = pytest.mark.skipif(
    not EPISODES.is_file(),
    reason=f"no reference episodes in {DATA}; set AGENTRL_WEBSHOP_DATA to a folder that has them",
)


class RecordedSearch:
    """Answers the episode's queries with the products that the original showed for them."""

    def __init__(self, steps: list[dict[str, Any]], asins: set[str]) -> None:
        self.results: dict[str, list[str]] = {}
        query = ""
        for step in steps:
            total = re.search(r"Page (\d+) \(Total results: (\d+)\)", step["text"])
            searched = re.fullmatch(r"search\[(.+)\]", step["action"] or "")
            query = searched[1].lower() if searched else query
            if total:
                found = self.results.setdefault(query, [""] * int(total[2]))
                shown = [c.upper() for c in step["clickables"] if c.upper() in asins]
                first = (int(total[1]) - 1) * RESULTS_A_PAGE
                found[first : first + len(shown)] = shown

    def __call__(self, query: str) -> list[str]:
        return self.results[query]


def episodes() -> list[dict[str, Any]]:
    lines = EPISODES.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def replay(catalogue: Catalogue, episode: dict[str, Any], observation: Any) -> Iterator[Any]:
    """Every step's observation, clickables and reward with what the original had."""
    steps = episode["steps"]
    environment = WebShop(
        catalogue,
        observation=observation,
        results_per_page=RESULTS_A_PAGE,
        max_turns=None,
        search=RecordedSearch(steps, set(catalogue.products)),
        prices=episode["price"],
    )
    text, _ = environment.reset(seed=0, options={"goal": episode["goal"]})
    reward, done = 0.0, False
    for step in steps:
        if step["action"] is not None:
            text, reward, done, _, _ = environment.step(step["action"])
        found = (text, environment.session.clickables, reward, done)
        expected = (step[observation], step["clickables"], step["reward"], step["done"])
        yield found, expected


@pytest.mark.parametrize("observation", ["text", "text_rich"])
def test_the_original_s_episodes_replay_alike(observation: str) -> None:
    catalogue = Catalogue.load(DATA)
    steps = [
        (found[0] == expected[0], found[1] == expected[1], found[2:] == pytest.approx(expected[2:]))
        for episode in episodes()
        for found, expected in replay(catalogue, episode, observation)
    ]
    assert len(steps) == 664
    shares = [sum(kind) / len(steps) for kind in zip(*steps, strict=True)]
    assert min(shares) >= 0.99, f"equal observations, clickables, rewards: {shares}"
