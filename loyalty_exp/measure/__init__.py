"""After the launch: effects, economics, checks."""
