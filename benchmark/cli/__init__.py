"""The command line: parsing, composition, and everything that knows Hydra."""
