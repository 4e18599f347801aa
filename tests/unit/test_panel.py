import pytest

from agentrl.config import EnvironmentConfig
from agentrl.errors import ConfigError
from agentrl.evaluation.panel import Panel, make_panel
from agentrl.rollout.episode import EpisodeSpec

WORDLE = EnvironmentConfig(id="agentrl/Wordle-v0", arguments={"words": 40})


def test_the_same_choices_make_the_same_panel() -> None:
    first = make_panel(WORDLE, range(28, 34), "dev", 20, seed=3)
    second = make_panel(WORDLE, range(28, 34), "dev", 20, seed=3)
    assert first == second
    assert first.fingerprint == second.fingerprint
    first.check_same(second)


def test_tasks_are_balanced_and_seeds_differ() -> None:
    panel = make_panel(WORDLE, range(28, 34), "dev", 20, seed=0)
    counts = [sum(spec.task == task for spec in panel.specs) for task in range(28, 34)]
    assert sorted(counts) == [3, 3, 3, 3, 4, 4]
    assert len({spec.seed for spec in panel.specs}) == 20


def test_no_task_repeats_while_there_are_enough() -> None:
    panel = make_panel(WORDLE, range(100), "dev", 100, seed=0)
    assert sorted(spec.task for spec in panel.specs) == list(range(100))


def test_samples_repeat_each_episode_of_the_panel() -> None:
    once = make_panel(WORDLE, range(28, 34), "dev", 8, seed=3)
    groups = make_panel(WORDLE, range(28, 34), "dev", 8, seed=3, samples=4)
    assert (once.samples, groups.samples) == (1, 4)
    assert groups.specs == tuple(
        EpisodeSpec(spec.task, spec.seed, sample) for spec in once.specs for sample in range(4)
    )
    assert len({once.fingerprint, groups.fingerprint}) == 2


@pytest.mark.parametrize(
    "other",
    [
        Panel("agentrl/WebShop-v0", {"words": 40}, "dev", (EpisodeSpec(1, 2),)),
        Panel("agentrl/Wordle-v0", {"words": 41}, "dev", (EpisodeSpec(1, 2),)),
        Panel("agentrl/Wordle-v0", {"words": 40}, "test", (EpisodeSpec(1, 2),)),
        Panel("agentrl/Wordle-v0", {"words": 40}, "dev", (EpisodeSpec(2, 2),)),
        Panel("agentrl/Wordle-v0", {"words": 40}, "dev", (EpisodeSpec(1, 3),)),
        Panel("agentrl/Wordle-v0", {"words": 40}, "dev", (EpisodeSpec(1, 2, sample=1),)),
        Panel("agentrl/Wordle-v0", {"words": 40}, "dev", (EpisodeSpec(1, 2), EpisodeSpec(1, 2, 1))),
        Panel("agentrl/Wordle-v0", {"words": 40}, "dev", ()),
    ],
)
def test_every_difference_changes_the_fingerprint(other: Panel) -> None:
    panel = Panel("agentrl/Wordle-v0", {"words": 40}, "dev", (EpisodeSpec(1, 2),))
    assert panel.fingerprint != other.fingerprint
    with pytest.raises(ConfigError, match="unlike panels cannot be compared: they differ in"):
        panel.check_same(other)


def test_the_order_of_arguments_is_no_difference() -> None:
    first = Panel("x", {"a": 1, "b": 2}, "dev", ())
    assert first.fingerprint == Panel("x", {"b": 2, "a": 1}, "dev", ()).fingerprint


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    panel = Panel("agentrl/Wordle-v0", {"words": 40}, "dev", (EpisodeSpec(1, 2),))
    # printf '["agentrl/Wordle-v0", {"words": 40}, "dev", [[1, 2]]]' | sha256sum
    assert panel.fingerprint == "cb8363133a58ace79e2192c78738894014215a3c6b37a5aed3f503c90bd907f0"


@pytest.mark.parametrize(("tasks", "episodes"), [(range(0), 3), (range(3), 0)])
def test_an_empty_panel_is_refused(tasks: range, episodes: int) -> None:
    with pytest.raises(ConfigError, match="needs episodes and tasks"):
        make_panel(WORDLE, tasks, "dev", episodes, seed=0)


def test_arguments_that_have_no_fingerprint_are_refused() -> None:
    odd = WORDLE.model_copy(update={"arguments": {"words": {1, 2}}})
    with pytest.raises(ConfigError, match="must be plain values"):
        make_panel(odd, range(3), "dev", 3, seed=0)
