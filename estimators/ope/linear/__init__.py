"""Linear estimators of values from moments, their intervals, and what a log can tell at all."""
