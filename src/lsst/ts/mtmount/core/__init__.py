"""The compiled core: moves bytes, knows nothing of sockets, Kafka or logging.

The rest of the package imports the core from here and from nowhere else.
There is no pure-Python fallback: a core that was not built is an error.
"""
