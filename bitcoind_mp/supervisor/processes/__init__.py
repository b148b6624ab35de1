"""The processes of units: made, forked, heard, found again after a kill, and what was in the way of one."""
