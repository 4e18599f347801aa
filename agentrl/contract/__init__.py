"""The test that every environment passes: agentrl's own, and yours.

    from agentrl.contract import check_environment, fuzz_environment

    def test_my_world_keeps_the_contract():
        check_environment(lambda: MyWorld(size=3))
        fuzz_environment(lambda: MyWorld(size=3), count=1000)

Each rule of `agentrl.env` is tried out on a few episodes; the first that is broken raises
`ContractViolation`, which names it. ``docs/environments/contract.md`` lists the rules.
"""

from agentrl.contract.fuzzing import fuzz_environment, fuzzed_action
from agentrl.contract.playing import GARBAGE, ContractViolation
from agentrl.contract.rules import check_environment

__all__ = [
    "GARBAGE",
    "ContractViolation",
    "check_environment",
    "fuzz_environment",
    "fuzzed_action",
]
