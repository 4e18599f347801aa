class ScriptedUser:
    def __init__(self, environment, strength, seed): pass
