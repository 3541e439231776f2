"""Errors that a user can mend, each one line: where, what was found, what was expected, what to do.

    RBridgeError
    ├── InputError         a file, folder or argument that cannot be used as it is
    ├── AlignmentError     bytes that do not spell the text they should
    ├── IncomparableRuns   results that must not stand in one ranking
    ├── MissingExtra       an optional dependency that this command needs
    └── MissingTool        a system tool that this command needs and may use

Anything else that escapes is a bug of ours and shows its traceback.
"""


class RBridgeError(Exception):
    """Base of every error that ``rbridge`` prints as one line before it exits with 1."""


class InputError(RBridgeError):
    """A file, folder or argument cannot be used as it is."""


class AlignmentError(RBridgeError):
    """Bytes do not spell the text they should."""


class IncomparableRuns(RBridgeError):
    """Results differ in something that a comparison must hold fixed."""


class MissingExtra(RBridgeError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package!r}, which is not installed: pip install 'rbridge[{extra}]'"
        )


class MissingTool(RBridgeError):
    """A system tool is not installed, or may not be used here."""
