"""Sockets and bytes: framing, JSON, who is at the other end."""
