"""Environments of agentrl, registered with Gymnasium on import.

Nothing heavy is imported here: an entry point is a name that Gymnasium resolves when an environment
is made.
"""

from gymnasium.envs.registration import register, registry

_ENTRY_POINTS = {
    "agentrl/Wordle-v0": "environments.wordle:Wordle",
    "agentrl/WebShop-v0": "environments.webshop:WebShop",
    "agentrl/HotAndCold-v0": "environments.hot_and_cold:HotAndCold",
    "agentrl/Maze-v0": "environments.maze:Maze",
    "agentrl/CarDealer-v0": "environments.car_dealer:CarDealer",
    "agentrl/GuessMyCity-v0": "environments.questions:GuessMyCity",
    "agentrl/MiniWob-v0": "environments.miniwob:MiniWob",
    "agentrl/TwentyQuestions-v0": "environments.questions:TwentyQuestions",
    "agentrl/ScienceWorld-v0": "environments.scienceworld:ScienceWorld",
    "agentrl/Chess-v0": "environments.chess:Chess",
    "agentrl/ChessEndgames-v0": "environments.chess:ChessEndgames",
    "agentrl/Jericho-v0": "environments.jericho:Jericho",
    "agentrl/ALFWorld-v0": "environments.alfworld:ALFWorld",
    "agentrl/TextWorld-v0": "environments.textworld:TextWorld",
    "agentrl/GymnasiumText-v0": "environments.adapters.gymnasium_text:GymnasiumText",
    "agentrl/TextArena-v0": "environments.adapters.textarena:TextArena",
    "agentrl/OpenEnv-v0": "environments.adapters.openenv:OpenEnv",
    "agentrl/Verifiers-v0": "environments.adapters.verifiers:Verifiers",
}

for _name, _entry_point in _ENTRY_POINTS.items():
    if _name not in registry:
        register(id=_name, entry_point=_entry_point, order_enforce=True, disable_env_checker=True)
