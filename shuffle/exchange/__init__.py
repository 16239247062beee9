"""The exchange of a shuffle: rows keyed by partition, map outputs on disk, one partition of all of them read back."""
