"""Training a conditional GAN on a few hundred slices, and sampling from it."""
