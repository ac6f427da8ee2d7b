"""Target policies of off-policy evaluation: what a user names, as action probabilities."""
