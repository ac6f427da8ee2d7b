"""Finite decision processes with linear features, their exact moments and regimes, and readers of logged experience."""
