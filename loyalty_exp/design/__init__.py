"""Before the first euro is spent: audience, power, draw, lists."""
