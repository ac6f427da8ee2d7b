"""The analysis of a table of training runs: which laws it can tell, what to run next, and the report."""
