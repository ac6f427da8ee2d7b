"""Importance weighting: episodes weighted by what both policies would have done, and doubly robust estimates."""
