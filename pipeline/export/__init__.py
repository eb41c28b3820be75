"""What may leave the run, decided from evidence handed in."""
