"""Off-policy evaluation: linear estimators of values from moments, importance weighting, and their intervals."""
