"""What our own figures must reach: for developers, with ``optimkit bench --bounds``."""
