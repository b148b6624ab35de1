"""The life of a unit as values: its states, what can happen to it, what it does next. No process, no clock, no I/O."""
