"""How the optimizers of each library are made, given gradients and read."""
