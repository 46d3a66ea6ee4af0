"""The life of a client: cancellation, misuse, slow code, and overridden methods."""
