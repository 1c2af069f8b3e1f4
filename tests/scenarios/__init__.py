"""Every kind of call as a real call on a real Asterisk, and what its record must say (B1, B4)."""
