"""The independent reader of Kafka: records as another program sees them.

It shares no code with the publisher, so that it can tell right from wrong.
`RecordReader` reads topics as a whole and stops at what is wrong; `LiveConsumer`
reads what is new and goes on whatever happens.
"""
