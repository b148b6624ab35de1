"""A process for each wallet (-walletprocess=each), and the one that makes and lists them."""
