"""Supervised tasks: what trained networks have learned, and how long it took them."""
