"""One file per algorithm: its docstring, its options, its rule."""
