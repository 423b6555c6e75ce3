"""The campaign file: its models, its positions, its rules. Reads text; never touches a database."""
