"""The shell: the only room with sockets, clocks and tasks."""
