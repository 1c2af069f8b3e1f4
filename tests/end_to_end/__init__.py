"""The whole product: a real Asterisk, real phones, the daemon as a real process."""
