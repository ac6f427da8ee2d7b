"""Ordering policies: from an observation of the inventory world to units to order."""
