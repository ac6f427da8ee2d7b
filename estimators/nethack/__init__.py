"""What is inferred from recorded games: the frequencies of keys after keys."""
