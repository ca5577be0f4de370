"""
How bytes travel, for how long, and how often.

All network I/O is here; no field of the plugin is.
"""
