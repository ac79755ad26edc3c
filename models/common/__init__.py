"""What adapters share: the base of torch adapters, isolation, images and masks."""
