"""Environments of other libraries behind agentrl's contract.

Nothing of those libraries is imported here: each adapter's module imports its own.
"""
