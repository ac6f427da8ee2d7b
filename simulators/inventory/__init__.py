"""Periodic-review inventory control of many products at once, on replayed or drawn demand."""
