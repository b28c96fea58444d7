"""Benchmarks: scripts run by hand; each prints ratios to a named baseline and ends with one line of JSON."""
