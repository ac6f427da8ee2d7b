"""The Gymnasium faces of the simulators. ``import sandtable`` registers them; nothing here imports torch."""
