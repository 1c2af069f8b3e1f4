"""Hostile input, by the hundred thousand: nothing that comes in makes an exception escape or memory grow."""
