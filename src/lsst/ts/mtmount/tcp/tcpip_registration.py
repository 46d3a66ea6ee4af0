"""Makes our client an ``lsst.ts.tcpip.Client`` to `isinstance`, if that package is imported."""

import sys

__all__ = ["register_with_tcpip"]


def register_with_tcpip(client_class: type) -> None:
    """Register a class as a virtual subclass of ``lsst.ts.tcpip.Client``, if that is imported by now."""
    # Another package of that name is none of our business.
    register = getattr(getattr(sys.modules.get("lsst.ts.tcpip"), "Client", None), "register", None)
    if register is not None:
        register(client_class)
