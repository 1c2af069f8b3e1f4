"""Tests: they mirror the rooms; `pbx`, `end_to_end` and `demo` run a real Asterisk."""
