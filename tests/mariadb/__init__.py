"""Helpers that run a real MariaDB for the tests."""
