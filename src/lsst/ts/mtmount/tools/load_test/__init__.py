"""What the demo, the stress test and the soak test share.

A *trial* runs the real parts, each in a process of its own: an embedded (or a
given) Kafka, the TMA simulator, a client program, and a reader that decodes
what was published. It takes samples of all of them while they run, and draws
up the account at the end: every frame that was sent must be found again.

Modules, from the bottom up:

* ``histogram``: latencies; ``procfs``: what processes use
* ``frames``, ``expectation``, ``matching``: what a record must be, by the frames sent
* ``reader``: the program that reads back (``python -m lsst.ts.mtmount.tools.load_test.reader``)
* ``account``: where each frame went
* ``program``, ``kafka_site``, ``client_command``, ``samples``, ``step``: running all of it once
* ``results``, ``drift``: what came out
* ``watch``, ``tables``, ``charts``, ``html_report``: telling people
* ``plain_client``: a client in pure Python, for comparison
"""
