"""What the supervisor tells the operator by itself: notices, commands run on them, and metrics."""
