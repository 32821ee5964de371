"""Everything beneath a rule: who owns an array, how a rule is traced, what runs it."""
