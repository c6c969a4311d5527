"""Episodes on disk: collecting, storing, checking, and reading training clips."""
