"""Finite worlds that are known exactly: one for each regime of the linear estimators, and the field's classics."""
