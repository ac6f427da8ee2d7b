"""How well a policy does in an environment: its games, their statistics and the report."""
