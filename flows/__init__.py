"""Prefect flows, the command line and the run configuration: the only part that knows every other."""
