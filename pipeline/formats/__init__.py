"""Read and write one file format each: pixels, geometry and safe header facts."""
