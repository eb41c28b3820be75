"""Generator and discriminator architectures, one file a family."""
