"""Recorded NetHack games: readers, the cache of decoded frames, and batches of them."""
