"""What the demonstration and the stress test share.

A *run* starts the real parts, each in a process of its own: an embedded (or a given) Kafka, the TMA
simulator, a client program, and a verifier that decodes what was published. At the end, every frame that
was sent must be found again.
"""
