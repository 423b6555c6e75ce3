"""The studies behind docs/calibration.md: the package's own functions on simulated draws."""
