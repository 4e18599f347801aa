"""Panels, statistics and reports."""
