"""What can go wrong before a node serves, each as one line that a person can act on.

The command line prints `str(error)` to stderr and leaves with `exit_code`; nothing else of an error
reaches the terminal. Trouble of a running node is logged instead and never ends up here.
"""


class NodeError(Exception):
    """The node can't start, or can't go on, for a reason that its operator can mend."""

    exit_code = 1


class SettingsError(NodeError):
    """A setting is unknown, malformed or contradicts another one."""

    exit_code = 2


class DataDirectoryError(NodeError):
    """The data directory can't be used: not writable, in use, or its files are damaged."""


class ListenError(NodeError):
    """The address can't be listened on."""


class TlsError(NodeError):
    """Certificate or key can't be used."""


class DatabaseError(NodeError):
    """The database can't be reached, lacks its tables, or has other tables than we expect."""
