"""An implementation held against the rule it should be, and what is wrong with it."""
