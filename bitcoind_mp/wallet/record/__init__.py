"""What happened to the wallet: its transactions, and what follows from them."""
