"""What a stranger's model file may contain, read from its bytes alone; opens nothing."""
