"""What surrounds the client: simulator, embedded Kafka, reader, monitor, load test."""
