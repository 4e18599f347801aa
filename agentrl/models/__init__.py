"""Language models: the policy with its adapter, critics, and the small embedded ones."""
