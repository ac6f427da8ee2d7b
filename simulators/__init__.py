"""Worlds as batched array programs, written once for numpy and torch. No learning, no Gymnasium environments."""
