"""Rules held against PyTorch, and engines against one another."""
