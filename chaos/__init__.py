"""`make chaos`: a load of payments while each process is killed, stopped, starved, cut off and fed garbage.

Everything goes through what a user has: the executables, the sockets, a terminal. Nothing of the daemon's inside is
known here but where its files lie.
"""
