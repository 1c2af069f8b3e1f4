"""One fault at a time on a real Asterisk under load, and what is on record afterwards."""
