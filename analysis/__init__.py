"""Studies, backtests and the mechanism under them: the run store, claims, statistics, reports and figures."""
