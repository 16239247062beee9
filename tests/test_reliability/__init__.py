"""What is promised when things go wrong: the disk, the processes, the limits, the files. See `docs/RELIABILITY.md`."""
