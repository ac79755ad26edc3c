"""Two label images and a protocol -> numbers."""
