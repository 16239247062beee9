"""Output directories: one file for each partition, and a manifest that says what is in them."""
