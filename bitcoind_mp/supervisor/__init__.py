"""Keeps the node and the wallet alive: starts, watches, restarts and stops them, by systemd's own protocols.

Never opens the chain or a wallet, and never imports the packages that do.
"""
