"""What runs inside the sandbox: the standard library alone, bound there as files and started by a bare Python."""
