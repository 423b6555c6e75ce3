"""Year over year: portfolios, bridges, moves."""
