"""How bytes travel, for how long, and how often. All the I/O is here, and no plugin field is."""
