"""``python -m rbridge``."""

from rbridge.cli import main

main()
