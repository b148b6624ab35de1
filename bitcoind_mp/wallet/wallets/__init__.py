"""All of a process's wallets: made, loaded, checked, moved, unlocked at the start."""
