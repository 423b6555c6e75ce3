"""Every SQL statement of the product, one file a stage, built by pure functions."""
