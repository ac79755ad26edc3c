"""Raw images -> prepared data sets -> samples."""
