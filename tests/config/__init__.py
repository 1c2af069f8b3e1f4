"""What a configuration file may hold."""
