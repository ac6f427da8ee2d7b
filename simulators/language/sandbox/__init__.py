"""A grader of hostile programs: fork server, worker, judge and codec."""
