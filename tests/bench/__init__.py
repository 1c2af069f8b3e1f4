"""`python -m tests.bench`: the product's promises in figures, measured beside a real Asterisk under load."""
