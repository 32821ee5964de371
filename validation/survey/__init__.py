"""Which library computes which rule: implementations held against the rules, and the page of it."""
