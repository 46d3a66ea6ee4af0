"""The independent reader of Kafka: records as another program sees them."""
