"""What two graphs, models or checkpoints differ in."""
