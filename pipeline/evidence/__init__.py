"""The four questions asked of a synthetic set: fidelity, diversity, memorisation, utility."""
