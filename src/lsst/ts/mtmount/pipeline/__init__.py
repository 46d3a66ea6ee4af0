"""From the receive buffer to Kafka: decode, handle and publish frames, and count them."""
