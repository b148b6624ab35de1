"""Answering: a server, its sessions' calls, from request to reply."""
