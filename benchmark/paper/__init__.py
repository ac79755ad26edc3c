"""Everything that knows the published study."""
