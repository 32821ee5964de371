"""What is not a matter of equal bits: distances to ordinary torch, and to exact arithmetic."""
