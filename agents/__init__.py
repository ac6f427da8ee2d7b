"""What acts: rules, learned policies and the exact optimum to hold them against."""
