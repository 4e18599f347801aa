"""Hot and cold: walk along a row of stones to what is hidden, by hearing warmer or colder."""

from environments.hot_and_cold.environment import HotAndCold

__all__ = ["HotAndCold"]
