"""Books that are not files of this machine: in databases, and shipped from beside a remote PBX."""
