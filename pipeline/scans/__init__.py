"""From a folder of scans to normalised slices, split by subject and duplicate group."""
