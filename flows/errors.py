"""Errors of the command line, apart from what raises them: a report is drawn where no torch is installed."""


class ConfigError(Exception):
    """A configuration or a command that cannot be followed; says where and what to do."""
