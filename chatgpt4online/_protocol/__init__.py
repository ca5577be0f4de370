"""What AI Engine and WordPress say and expect: every fact about them, and no I/O."""
