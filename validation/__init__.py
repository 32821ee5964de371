"""Does it hold, and how fast is it: parity with torch, benchmarks, the command line."""
