"""What is held against what: configurations, inputs, and what PyTorch computed."""
