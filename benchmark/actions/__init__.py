"""What the command line can be asked to do: one module per action, each with `perform`."""
