"""What runs inside the user's process: decorators, targets, carriers."""
