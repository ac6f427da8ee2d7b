"""Scaling laws: fits, intervals, forecasts."""
