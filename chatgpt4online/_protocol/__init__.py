"""The protocol of AI Engine and WordPress: every fact about them, and no I/O."""
