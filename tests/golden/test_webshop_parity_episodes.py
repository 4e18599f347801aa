"""Pages, clickables and rewards, step by step, against recorded episodes.

Two recordings: 100 episodes that the original environment played (not part of the project:
`AGENTRL_WEBSHOP_DATA` names their folder), and episodes of the bundled catalogue, beside this file.
After a change of the pages that is meant, record the latter anew and read the difference::

    AGENTRL_RECORD_GOLDEN=1 python -m pytest tests/golden/test_webshop_parity_episodes.py
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environments.webshop import Catalogue, WebShop
from environments.webshop.pages import RENDERERS

DATA = Path(
    os.environ.get(
        "AGENTRL_WEBSHOP_DATA",
        Path(__file__).parents[3] / "shared" / "data" / "webshop",
    )
)
EPISODES = DATA / "reference" / "episodes.jsonl"
RESULTS_A_PAGE = 10
OWN = Path(__file__).with_name("webshop_bundled_episodes.json")

needs_reference = pytest.mark.skipif(
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


@needs_reference
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


def played(observation: Any, task: int) -> list[list[Any]]:
    """One bundled episode of a middling shopper: action, observation, reward, clickables."""
    environment = WebShop(observation=observation)
    text, info = environment.reset(seed=0, options={"task": task})
    agent = environment.scripted_agent(strength=0.6, seed=task)
    steps: list[list[Any]] = [["", text, 0.0, environment.session.clickables]]
    terminated = truncated = False
    while not (terminated or truncated):
        action = agent.act(text, info)
        text, reward, terminated, truncated, info = environment.step(action)
        steps.append([action, text, round(reward, 6), environment.session.clickables])
    return steps


def test_the_bundled_catalogue_s_episodes_replay_alike() -> None:
    found = {style: [played(style, task) for task in (0, 700, 2000)] for style in RENDERERS}
    if os.environ.get("AGENTRL_RECORD_GOLDEN"):
        OWN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(OWN.read_text(encoding="utf-8"))
