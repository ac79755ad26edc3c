"""Sources of prompts for promptable models."""
