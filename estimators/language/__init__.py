"""What is inferred from graded completions."""
