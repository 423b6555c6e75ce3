"""Pages from results: views, charts, words, templates. Never touches the store."""
