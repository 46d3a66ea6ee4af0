"""A live view of the MTMount telemetry that is in Kafka.

`MonitorState` keeps what is to be seen of what a `LiveConsumer` of
`lsst.ts.mtmount.tools.reader` reads; `LiveView`, `PlainLines` or a web page shows
it. The observatory's ``lsst.ts.salobj`` is not needed, and not used if it is there.

Everywhere here, ``now`` is the time of one monotonic clock [s], ``prefix`` is what comes before the
SAL names in the names of Kafka topics, and ``is_over`` whether the user has seen enough.
"""
