"""Demand over a lead time, and its season."""
