"""Measurements kept in a database of the user."""
