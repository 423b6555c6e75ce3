"""Numbers in, numbers out: the estimators and intervals. Imports nothing of ours."""
