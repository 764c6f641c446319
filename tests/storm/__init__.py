"""The demonstration: the same typing on the obvious server and on this one, side by side."""
