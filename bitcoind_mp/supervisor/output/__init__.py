"""What units and the supervisor write: pumped, rotated, kept for followers."""
