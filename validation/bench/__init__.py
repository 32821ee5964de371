"""How fast engines are, beside their peers."""
