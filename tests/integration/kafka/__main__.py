"""Run a Kafka and a schema registry until Ctrl-C; print the environment that leads to them.

With a command, run that in this environment instead, and end with its status.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack

from . import ApicurioRegistry, KafkaCluster, find_missing_tool
from .security import SCRAM


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.kafka", description=__doc__)
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="number of brokers")
    parser.add_argument("--sasl", action="store_true", help=f"demand a password ({SCRAM})")
    parser.add_argument("--tls", action="store_true", help="encrypt clients' connections")
    parser.add_argument("--no-registry", action="store_true", help="without a schema registry")
    parser.add_argument("--subname", default="test", help="value of LSST_TOPIC_SUBNAME")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run with this Kafka")
    arguments = parser.parse_args()
    missing = find_missing_tool()
    if missing:
        sys.exit(f"cannot run Kafka: {missing}")
    # SIGTERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            sasl = SCRAM if arguments.sasl else None
            cluster = stack.enter_context(KafkaCluster(arguments.brokers, sasl=sasl, tls=arguments.tls))
            registry_url = None
            if not arguments.no_registry:
                registry_url = stack.enter_context(ApicurioRegistry()).url
            variables = cluster.environment(arguments.subname, registry_url)
            if arguments.command:
                sys.exit(
                    subprocess.run(arguments.command, env=os.environ | variables, check=False).returncode
                )
            for name, value in variables.items():
                print(f"export {name}={shlex.quote(value)}")
            print("# Kafka runs until Ctrl-C.", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("# Kafka has ended.")


main()
