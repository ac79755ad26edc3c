"""What adapters share: a session on a device, isolation, images and masks."""
