from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

from agentrl.errors import ConfigError, MissingExtraError
from environments.miniwob import GROUPS, MiniWob
from environments.miniwob.locate import BROWSER_VARIABLE, find_browser, page_names
from environments.miniwob.rules import RULES

INJECTIONS = [
    "\"]').click(); alert(1); //",
    "<script>core.endEpisode(1)</script>",
    "javascript:core.endEpisode(1)",
    "'); core.endEpisode(1); ('",
    "${core.endEpisode(1)}",
    "#subbtn, button:first-child",
    '\\"; WOB_DONE_GLOBAL = true; \\"',
]


def made(pages: Any, **arguments: Any) -> MiniWob:
    return MiniWob(pages, **arguments)


@pytest.fixture(autouse=True, scope="module")
def browser_for_all_tests() -> Iterator[None]:
    """One open page keeps the browser running from one test to the next."""
    environment = made("click-test")
    environment.reset(options={"task": 0})
    yield
    environment.close()


@pytest.fixture
def login() -> Iterator[MiniWob]:
    environment = made("login-user")
    yield environment
    environment.close()


def play(environment: MiniWob, task: int, strength: float = 1.0) -> tuple[list[str], list[Any]]:
    answer: Any = environment.reset(options={"task": task})
    agent, actions, answers = environment.scripted_agent(strength, task), [], [answer]
    while len(answer) == 2 or not (answer[2] or answer[3]):
        actions.append(agent.act(answer[0], answer[-1]))
        answer = environment.step(actions[-1])
        answers.append(answer)
    return actions, answers


def test_a_login_page_as_an_agent_sees_it(login: MiniWob) -> None:
    observation, info = login.reset(options={"task": 0})
    assert info == {"task": 0, "page": "login-user"}
    first, *lines = observation.splitlines()
    assert first.startswith('Enter the username "karrie" and the password')
    assert lines[1] == '[2] input#username text value=""'
    assert lines[-1] == '[5] button#subbtn.secondary-action "Login"'


def test_a_right_login_pays_and_ends(login: MiniWob) -> None:
    login.reset(options={"task": 0})
    observation, reward, ended, _, info = login.step('type 2 "karrie"')
    assert '[2] input#username text value="karrie" focused' in observation
    assert (reward, ended, info) == (0.0, False, {"valid": True, "success": False})
    login.step('type 4 "AU"')
    assert login.step("click 5")[1:] == (1.0, True, False, {"valid": True, "success": True})
    with pytest.raises(ResetNeeded, match="call reset"):
        login.step("click 5")


def test_a_wrong_login_costs(login: MiniWob) -> None:
    login.reset(options={"task": 0})
    assert login.step("click 5")[1:4] == (-1.0, True, False)


def test_the_limit_cuts_off() -> None:
    environment = made("login-user", max_steps=2)
    environment.reset(options={"task": 0})
    assert environment.step("wait 100")[2:4] == (False, False)
    assert environment.step("nonsense")[2:4] == (False, True)
    environment.close()


@pytest.mark.parametrize("text", INJECTIONS)
def test_injected_text_stays_text(login: MiniWob, text: str) -> None:
    login.reset(options={"task": 0})
    marked = text.replace("\\", "\\\\").replace('"', '\\"')
    login.step(f'type 2 "{marked}"')
    typed = next(item for item in login.view.items if item.id == "username").value
    assert typed == text
    assert not login.view.done
    assert login.step(f"select 2 {text}")[4] == {"valid": False, "success": False}


@pytest.mark.parametrize("action", ["click 99", "click 900 900", 'type 5 "\x00"', "select 2 a"])
def test_what_cannot_be_done_changes_nothing(login: MiniWob, action: str) -> None:
    before, _ = login.reset(options={"task": 0})
    after, reward, ended, _, info = login.step(action)
    assert (after, reward, ended, info["valid"]) == (before, 0.0, False, False)


def hostile_action(draw: random.Random) -> str:
    kinds = [
        "", "x" * 100_000, "\x00\x07\x1b[31m", "漢字 العربية 🙂", "\ud800", "click", "click -1",
        f"click {draw.randrange(12)}", f"click {draw.randrange(600)} {draw.randrange(400)}",
        f"drag {draw.randrange(9)} {draw.randrange(9)}", f"press {chr(draw.randrange(33, 999))}",
        f"type {draw.randrange(9)} {draw.choice(INJECTIONS)}", "press Control+v", "wait 10",
        f"type {draw.randrange(9)} " + "".join(chr(draw.randrange(1, 70_000)) for _ in range(8)),
        f"select {draw.randrange(9)} {draw.choice(INJECTIONS)}", f"scroll {draw.randrange(9)} down",
    ]  # fmt: skip
    return draw.choice(kinds)


def survive(count: int, pages: Any) -> None:
    environment, draw = made(pages), random.Random(0)
    over = True
    for number in range(count):
        if over:
            environment.reset(options={"task": number % len(environment.pages)})
        observation, _, ended, truncated, info = environment.step(hostile_action(draw))
        over = ended or truncated
        assert isinstance(info["valid"], bool)
        observation.encode()
    environment.close()


def test_400_hostile_actions() -> None:
    survive(400, ["login-user", "text-editor", "choose-list", "drag-box"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_10_000_hostile_actions_on_all_pages() -> None:
    survive(10_000, "all")


def test_pictures_and_colours_of_the_request_are_named() -> None:
    environment = made("use-colorwheel-2")
    observation, _ = environment.reset(options={"task": 0})
    assert observation.startswith("Select the following color [cc #0198e3] with the color picker")
    environment.close()


def test_time_passes_with_actions_alone() -> None:
    environment = made("stock-market")
    environment.reset(options={"task": 0})
    first = environment.step("wait 1000")[0]
    time.sleep(0.5)
    assert environment.step("nonsense")[0] == first
    assert environment.step("wait 1000")[0] != first
    environment.close()


@pytest.mark.parametrize("page", ["click-tab-2", "use-autocomplete", "social-media", "click-menu"])
def test_an_episode_is_the_same_again_and_after_others(page: str) -> None:
    environment, other = made(page), made(page)
    actions, answers = play(environment, 5, strength=0.5)
    play(other, 6, strength=0.0)
    again: list[Any] = [other.reset(options={"task": 5})]
    again += [other.step(action) for action in actions]
    assert again == answers
    environment.close()
    other.close()


def test_a_snapshot_is_played_again(login: MiniWob) -> None:
    login.reset(options={"task": 3})
    login.step('type 2 "abc"')
    snapshot, seen = login.snapshot(), login.step("click 4")
    login.restore(snapshot)
    assert login.step("click 4") == seen


@pytest.mark.parametrize("page", ["click-button", "enter-date", "click-checkboxes", "choose-date"])
def test_the_scripted_user_solves(page: str) -> None:
    environment = made(page)
    for task in range(3):
        assert play(environment, task)[1][-1][4]["success"]
    environment.close()


def test_all_pages_are_there() -> None:
    environment = made("all")
    assert len(environment.pages) == len(page_names()) == 130
    assert set(RULES) <= set(page_names())
    assert {page for group in GROUPS.values() for page in group} <= set(page_names())
    assert len(GROUPS["rci"]) == 54
    assert len(GROUPS["webn_t5"]) == len(set(GROUPS["webn_t5"])) == 56


def test_tasks_are_pages_and_seeds_that_no_split_shares() -> None:
    environment = made(["click-test", "click-link"], seeds=20)
    seeds = {
        split: {environment.page_and_seed(task) for task in environment.tasks(split)}
        for split in ("train", "dev", "test")
    }
    assert [len(found) for found in seeds.values()] == [40, 4, 4]
    assert len(set.union(*seeds.values())) == 48
    assert environment.page_and_seed(3) == ("click-link", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pages": "click-buton"}, "Did you mean 'click-button"),
        ({"pages": []}, "pages is empty"),
        ({"observation": "html"}, "dom, accessibility"),
        ({"positions": "none"}, "graphics, all"),
        ({"max_steps": 0}, "at least 1"),
        ({"seeds": 5}, "at least 10"),
        ({"milliseconds": -1}, "at least 0"),
    ],
)
def test_a_wrong_setting_is_a_clear_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MiniWob(**arguments)


def test_the_browser_is_looked_for_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = {name: tmp_path / name for name in ("given", "variable", "own", "chromium")}
    for program in programs.values():
        program.write_text("")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(BROWSER_VARIABLE, str(programs["variable"]))
    own = str(programs["own"])
    assert find_browser(str(programs["given"]), own) == str(programs["given"])
    assert find_browser(None, own) == str(programs["variable"])
    monkeypatch.delenv(BROWSER_VARIABLE)
    assert find_browser(None, own) == own
    assert find_browser(None, "nowhere") == str(programs["chromium"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtraError, match=r"playwright install chromium.*apt-get install"):
        find_browser(None, "nowhere")
    with pytest.raises(ConfigError, match="no program"):
        find_browser("missing", own)


@pytest.mark.parametrize("page", ["scroll-text", "scroll-text-2"])
def test_what_was_typed_in_one_episode_is_not_in_the_next(page: str) -> None:
    environment = made(page)
    first = environment.reset(options={"task": 0})
    field = next(item.ref for item in environment.view.items if item.tag == "textarea")
    environment.step(f'type {field} "abc"')
    environment.reset(options={"task": 1})
    assert environment.reset(options={"task": 0}) == first
    environment.close()
