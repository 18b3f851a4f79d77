"""The kit in pytest: the suite classes, and the options that need no test file."""
