"""``python -m agentrl.config``: every field with its default and its sentence."""

from agentrl.config.reading import describe

for row in describe():
    print("{:42} {:24} {}".format(*row))
