"""What makes pages: extensions of Sphinx that read the library's own rules and tables."""
