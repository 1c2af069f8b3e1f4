"""The daemon: sockets, clocks and tasks."""
