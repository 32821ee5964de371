"""What a rule or a schedule does, shown."""
