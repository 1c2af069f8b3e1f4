"""A small call centre on a real Asterisk: `make demo`."""
