"""The backtest of ordering policies, and its report."""
