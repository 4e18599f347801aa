"""A language model as a service: replies kept on disk, many at once, within a budget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from endpoint_server import EndpointServer

from agentrl.errors import ConfigError, EnvironmentFaultError
from agentrl.service import LanguageService, Spent


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "replies" / "judge.sqlite")


def service(server: EndpointServer, **settings: Any) -> LanguageService:
    return LanguageService("Judge", server.base_url, "m", **settings)


@pytest.fixture
def judge(endpoint_server: EndpointServer, store: str) -> Iterator[LanguageService]:
    with closing(service(endpoint_server, store=store)) as made:
        yield made


def test_the_same_question_is_paid_for_once(
    endpoint_server: EndpointServer, judge: LanguageService, store: str
) -> None:
    """By this object and by another that reads the same file; another question is another."""
    endpoint_server.script = ["first", "second"]
    assert [judge.reply("Rules.", ["Is it?"]) for _ in range(3)] == ["first"] * 3
    with closing(service(endpoint_server, store=store)) as later:
        assert later.reply("Rules.", ["Is it?"]) == "first"
        assert later.reply("Rules.", ["Is it not?"]) == "second"
        assert later.store.spent == Spent(20, 10)
        assert (later.counts.requests, later.counts.kept) == (1, 1)
    assert len(endpoint_server.seen) == 2


@pytest.mark.parametrize("other", [{"max_new_tokens": 7}, {"temperature": 0.5}])
def test_other_settings_are_other_questions(
    endpoint_server: EndpointServer, judge: LanguageService, store: str, other: dict[str, Any]
) -> None:
    endpoint_server.script = ["plain", "again", "and again"]
    assert judge.reply("Rules.", ["Is it?"]) == "plain"
    with closing(service(endpoint_server, store=store, **other)) as different:
        assert different.reply("Rules.", ["Is it?"]) == "again"
        repeated = "and again" if "temperature" in other else "again"
        assert different.reply("Rules.", ["Is it?"]) == repeated


def test_many_are_asked_at_once(endpoint_server: EndpointServer) -> None:
    endpoint_server.script = [0.4]
    with closing(service(endpoint_server, concurrent=8)) as judge:
        start = time.monotonic()
        futures = [judge.submit("Rules.", [f"Question {n}"]) for n in range(8)]
        assert [future.result() for future in futures] == ["late"] * 8
        assert time.monotonic() - start < 8 * 0.4


def test_the_budget_stops_before_more_is_spent(endpoint_server: EndpointServer, store: str) -> None:
    """What is kept is still answered; a new object with the same file has no new budget."""
    endpoint_server.script = ["yes"]
    settings: dict[str, Any] = {"store": store, "most_tokens": 30}
    with closing(service(endpoint_server, **settings)) as judge:
        judge.reply("Rules.", ["one"])
        judge.reply("Rules.", ["two"])
        with pytest.raises(ConfigError, match=r"30\b.*all of most_tokens=30.*Raise the limit"):
            judge.reply("Rules.", ["three"])
    with closing(service(endpoint_server, **settings)) as later:
        assert later.reply("Rules.", ["one"]) == "yes"
        with pytest.raises(ConfigError, match="most_tokens"):
            later.submit("Rules.", ["three"]).result()
    assert len(endpoint_server.seen) == 2


def test_without_a_file_the_budget_is_the_objects_own(endpoint_server: EndpointServer) -> None:
    endpoint_server.script = ["yes"]
    with closing(service(endpoint_server, most_tokens=15)) as judge:
        judge.reply("Rules.", ["one"])
        assert judge.store.spent == Spent(10, 5)
        with pytest.raises(ConfigError, match="most_tokens"):
            judge.reply("Rules.", ["one"])


def ask(base_url: str, store: str, first: int) -> None:
    with closing(LanguageService("Judge", base_url, "m", store=store)) as judge:
        for number in range(first, first + 20):
            judge.reply("Rules.", [f"Question {number}"])


def test_processes_share_replies_and_cost(endpoint_server: EndpointServer, store: str) -> None:
    """Forty questions, each asked by one of two processes or by both."""
    endpoint_server.script = ["yes"]
    context = get_context("spawn")
    workers = [
        context.Process(target=ask, args=(endpoint_server.base_url, store, first))
        for first in (0, 20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with closing(service(endpoint_server, store=store)) as judge:
        assert judge.store.spent == Spent(400, 200)
        judge.reply("Rules.", ["Question 39"])
        assert judge.counts.kept == 1


def test_failures_are_repeated_counted_and_not_kept(
    endpoint_server: EndpointServer, judge: LanguageService
) -> None:
    endpoint_server.script = [500, 500, 500, "at last"]
    with pytest.raises(EnvironmentFaultError, match=r"Judge: .* gave no reply in 3 attempts"):
        judge.reply("Rules.", ["Is it?"])
    assert judge.reply("Rules.", ["Is it?"]) == "at last"
    assert (judge.counts.requests, judge.counts.failures) == (4, 3)
    assert judge.store.spent == Spent(10, 5)


def last_word(reply: str) -> str:
    return reply.rpartition("Answer: ")[2] if "Answer: " in reply else ""


def test_a_reply_without_an_answer_is_a_failed_attempt_that_was_paid_for(
    endpoint_server: EndpointServer, judge: LanguageService
) -> None:
    """Neither an empty text nor one that says nothing is kept, and none counts as an answer."""
    endpoint_server.script = ["", None, "I wonder. Answer: yes"]
    assert judge.reply("Rules.", ["Is it?"], read=last_word) == "yes"
    assert (judge.counts.requests, judge.counts.empty, judge.counts.failures) == (3, 2, 0)
    assert judge.store.spent == Spent(30, 15)
    assert judge.reply("Rules.", ["Is it?"], read=last_word) == "yes"
    assert judge.reply("Rules.", ["Is it?"]) == "I wonder. Answer: yes"
    assert (judge.counts.requests, judge.counts.kept) == (3, 2)


def test_only_replies_without_an_answer_end_in_an_error(
    endpoint_server: EndpointServer, judge: LanguageService
) -> None:
    endpoint_server.script = ["I wonder."]
    with pytest.raises(EnvironmentFaultError, match=r"in 3 attempts: .*without an answer: 'I won"):
        judge.submit("Rules.", ["Is it?"], last_word).result()
    assert judge.counts.empty == 3


def test_the_budget_counts_replies_without_an_answer(
    endpoint_server: EndpointServer, store: str
) -> None:
    """Each costs 15 tokens, so that the third attempt is not made."""
    endpoint_server.script = [""]
    with (
        closing(service(endpoint_server, store=store, most_tokens=30)) as judge,
        pytest.raises(ConfigError, match="most_tokens"),
    ):
        judge.reply("Rules.", ["Is it?"], read=last_word)
    assert len(endpoint_server.seen) == 2


def test_what_is_kept_without_an_answer_is_asked_again(
    endpoint_server: EndpointServer, judge: LanguageService
) -> None:
    """A reply that was taken as it is may be none to somebody who needs an answer."""
    endpoint_server.script = ["", "Answer: no"]
    assert judge.reply("Rules.", ["Is it?"]) == ""
    assert judge.reply("Rules.", ["Is it?"], read=last_word) == "no"
    assert judge.reply("Rules.", ["Is it?"]) == "Answer: no"


def test_without_instructions_there_is_no_system_message(
    endpoint_server: EndpointServer, judge: LanguageService
) -> None:
    judge.reply("", ["Is it?"])
    [asked] = endpoint_server.seen
    assert asked["messages"] == [{"role": "user", "content": "Is it?"}]


def test_a_file_of_something_else_is_a_clear_error(
    endpoint_server: EndpointServer, tmp_path: Path
) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("no database" * 100)
    with pytest.raises(ConfigError, match=r"notes\.txt cannot be read or written"):
        service(endpoint_server, store=str(other))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"timeout": 0.0}, "timeout above 0"), ({"most_tokens": 0}, "most_tokens=0")],
)
def test_wrong_settings_are_named(
    endpoint_server: EndpointServer, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        service(endpoint_server, **settings)
