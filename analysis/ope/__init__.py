"""The evaluation of a log: which estimators it can serve, what they say, how sure that is, and the report."""
