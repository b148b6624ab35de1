"""Which scripts are the wallet's: descriptors, addresses, labels."""
