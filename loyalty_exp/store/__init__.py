"""The one data layer: tables, engines, loading, and every query."""
