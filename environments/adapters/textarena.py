"""Games of TextArena for one player, or for two with a fixed opponent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from agentrl.errors import ConfigError, nearest, require
from agentrl.service import RETRIES, TIMEOUT, LanguageService
from environments.adapters.episode import Adapter, Played
from environments.adapters.randomness import OwnRandomness
from environments.adapters.settings import (
    DEFAULT_SEEDS,
    Seeds,
    SuccessRule,
    load,
    seed_splits,
)
from environments.lmrl.settings import check_choice

OPPONENT_INSTRUCTIONS = (
    "You are a player in a text game. You are shown everything that was said so far. Reply with "
    "your next move in the format that the game asks for, and nothing else."
)
_MOST_MOVES = 100
"""Moves in a row of an opponent after which the game is taken to be stuck."""


class TextArena(Adapter):
    """A game of TextArena; the reward comes at the end and is the game's own.

    A task is the seed of the game. An observation is what the player was shown since its last move;
    its own moves are not repeated. A move that the game refuses is not valid; it allows one more
    try in most games and then ends the game. Such a move pays at most 0.

    Args:
        game: a registered name, e.g. ``"GuessTheNumber-v0"``.
        arguments: of the game, beside those that its name sets.
        opponent: none for a game of one player; ``"model"`` for a language model behind `base_url`;
            or ``"module:name"``: a function from the whole text shown to the opponent to its move,
            or a class of such (TextArena's agents are). What it draws from `random` or
            `numpy.random` is determined by the task.
        player: which one the agent is in a game of two: 0 (mostly moves first), 1, or
            ``"alternate"``: the task's number modulo 2.
        base_url: of the endpoint, e.g. ``"http://localhost:8000/v1"``.
        model: the model's name there.
        timeout: seconds to wait for one reply of the model.
        retries: how often a request to the model is repeated.
        replies: file that keeps the model's replies, for later runs to read; None keeps none.
        most_tokens: that the model may use before the run stops, counted in `replies` by all who
            share the file, else by this instance; None sets no limit.
        seeds: the tasks, see `seed_splits`.
        instructions: the system message; the game's rules are in the first observation.
        max_turns: limit of an episode beside the game's own.
        success: the rule, see `SuccessRule`; none takes a reward of at least 1: a win, or a game of
            one player that is solved.

    Raises:
        ConfigError: no such game or opponent, or a value out of range; at `reset`, a game for
            another number of players.
        MissingExtraError: the package textarena is not installed.
    """

    name = "TextArena"

    def __init__(
        self,
        game: str,
        arguments: Mapping[str, Any] | None = None,
        opponent: str | None = None,
        player: Literal[0, 1, "alternate"] = 0,
        base_url: str = "",
        model: str = "",
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        replies: str | None = None,
        most_tokens: int | None = None,
        seeds: Seeds = DEFAULT_SEEDS,
        instructions: str = "",
        max_turns: int = 100,
        success: Mapping[str, Any] | None = None,
    ) -> None:
        self._package = require("textarena", "textarena", "A game of TextArena")
        check_choice(self.name, "player", str(player), ("0", "1", "alternate"))
        if opponent is None and player != 0:
            raise ConfigError(f"{self.name}: player={player!r} needs an opponent.")
        _check_game(self.name, game)
        rule = SuccessRule(self.name, success or {"reward": 1.0})
        super().__init__(seed_splits(self.name, seeds), instructions, max_turns, 0.0, rule)
        self.game, self.arguments, self.player = game, dict(arguments or {}), player
        self._endpoint: LanguageService | None = None
        if opponent == "model":
            self._endpoint = LanguageService(
                self.name,
                base_url,
                model,
                timeout=timeout,
                retries=retries,
                store=replies,
                most_tokens=most_tokens,
            )
        self._opponent = self._find_opponent(opponent)
        self._me = 0
        self._game: Any = None
        self._randomness = OwnRandomness(0)

    def _find_opponent(self, opponent: str | None) -> Callable[[str], str] | None:
        """From the whole text shown to the opponent to its move; None in a game of one player."""
        if opponent is None:
            return None
        if opponent == "model":
            return self._ask
        found = load(self.name, "opponent", opponent)
        answers: Callable[[str], str] = found() if isinstance(found, type) else found
        return answers

    def _ask(self, shown: str) -> str:
        assert self._endpoint is not None
        return self._endpoint.reply(OPPONENT_INSTRUCTIONS, [shown])

    def _open(self, task: int) -> tuple[str, dict[str, Any]]:
        self._randomness = OwnRandomness(task)
        self._me = task % 2 if self.player == "alternate" else int(self.player)
        players = 1 if self._opponent is None else 2
        with self._randomness.used():
            # Afresh, because TextArena's wrappers remember the texts of the game before.
            self._game = self._make()
            try:
                self._game.reset(num_players=players, seed=task)
            except AssertionError as error:
                raise ConfigError(
                    f"{self.name}: {self.game} is not for {players} player(s): {error}. A game of "
                    "two needs an opponent, a game of one takes none."
                ) from error
        if self._let_opponent_move():
            raise self._fault(f"{self.game} was over before the agent's first move")
        return self._shown(), {}

    def _make(self) -> Any:
        try:
            return self._package.make(self.game, **self.arguments)
        except TypeError as error:
            raise ConfigError(f"{self.name}: arguments of {self.game}: {error}.") from error

    def _play(self, action: str) -> Played:
        with self._randomness.used():
            done = self._move(action)
            valid = not (
                getattr(self._state, "error_count", 0)
                or self._state.game_info[self._me].get("invalid_move")
            )
        done = done or self._let_opponent_move()
        reward = self._final_reward() if done else 0.0
        info: dict[str, Any] = {"valid": valid}
        reason = self._state.game_info[self._me].get("reason")
        if done and reason:
            info["reason"] = str(reason)
        shown = "\n".join(text for text in (self._shown(), info.get("reason", "")) if text)
        return Played(shown, reward if valid else min(reward, 0.0), done, False, info)

    @property
    def _state(self) -> Any:
        return self._game.state

    def _move(self, action: str) -> bool:
        """Make a move for the player whose turn it is; whether the game is over."""
        try:
            done, _ = self._game.step(action=action)
        except Exception as error:
            raise self._fault(
                f"{self.game} raised {type(error).__name__} at {str(action)[:80]!r}: {error}"
            ) from error
        return bool(done)

    def _let_opponent_move(self) -> bool:
        """Let the opponent move while it is its turn; whether the game is over."""
        for _ in range(_MOST_MOVES):
            if self._opponent is None or self._state.current_player_id == self._me:
                return False
            with self._randomness.used():
                shown = _text(self._game.get_observation()[1])
            move = self._answered(self._opponent, shown)
            with self._randomness.used():
                if self._move(move):
                    return True
        raise self._fault(f"{self.game} let the opponent move {_MOST_MOVES} times in a row")

    def _answered(self, opponent: Callable[[str], str], shown: str) -> str:
        """The opponent's move. A model's answer is waited for without holding up other games."""
        if self._endpoint is not None:
            return opponent(shown)
        with self._randomness.used():
            return opponent(shown)

    def _final_reward(self) -> float:
        rewards, _ = self._game.close()
        return float((rewards or {}).get(self._me, 0.0))

    def _shown(self) -> str:
        """What the agent was shown since it was last asked, its own moves left out."""
        news = self._state.observations[self._me]
        self._state.observations[self._me] = []
        moved = self._package.ObservationType.PLAYER_ACTION
        names = self._state.role_mapping
        return "\n".join(
            message if sender == self._package.GAME_ID else f"[{names.get(sender)}] {message}"
            for sender, message, kind in news
            if not (sender == self._me and kind is moved)
        ).strip()

    def close(self) -> None:
        """Leave the game and close the connections to a model; twice is fine."""
        self._over, self._game = True, None
        if self._endpoint is not None:
            self._endpoint.close()


def _check_game(name: str, game: str) -> None:
    known = require("textarena.envs.registration", "textarena", "TextArena").ENV_REGISTRY
    if game not in known:
        raise ConfigError(f"{name}: TextArena has no game {game!r}.{nearest(game, known)}")


def _text(shown: Any) -> str:
    """An observation of a game without a wrapper of observations is a list of messages."""
    return shown if isinstance(shown, str) else "\n".join(message for _, message, _ in shown)
