"""End-to-end scenarios: one module for each, run by scenario.py."""
