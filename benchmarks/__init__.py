"""Side-by-side speed: ours and what one would use otherwise, in one run, on one core, with the hardware's limit."""
