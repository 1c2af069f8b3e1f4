"""Helpers that run a real Asterisk for the tests."""
