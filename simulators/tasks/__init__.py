"""Data distributions of supervised tasks, as worlds of one step."""
