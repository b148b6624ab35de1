"""The front end: one command, or a shell, over the sockets of a supervisor, a node and a wallet.

Two paths share what is pure (`arguments`, `routing`, `jsontext`, `format`). The one-shot path (`oneshot`) is paid at
every command and imports next to nothing; the shell (`shell`) may import what it likes.
"""
