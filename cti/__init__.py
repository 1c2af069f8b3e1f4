"""CTI beside an Asterisk PBX: the pure core, and the daemon around it."""
