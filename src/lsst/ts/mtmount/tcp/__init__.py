"""A TCP client: one connection, its reader and its writer."""
