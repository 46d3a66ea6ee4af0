"""High-throughput telemetry client of the mount of the Simonyi Survey Telescope."""
