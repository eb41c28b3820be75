"""The science: scans -> synthesis -> evidence -> export. The four wings do not import each other."""
