"""What would make a training fit, each change measured by replaying it."""
