"""What is inferred from data: forecasts, models, values. A ``fit`` that returns a frozen result."""
