"""Makes a class an ``lsst.ts.tcpip.Client`` to `isinstance`, wherever that package is installed.

``lsst.ts.tcpip`` takes tens of MB with what it imports in turn, and most
programs do not use it, so it is not imported for this: its client class is an
`abc.ABC`, and ours is registered with it as soon as anybody else imports it.
"""

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["register_with_tcpip"]

TCPIP = "lsst.ts.tcpip"


def register_with_tcpip(client_class: type) -> None:
    """Register a class as a virtual subclass of ``lsst.ts.tcpip.Client``.

    Parameters
    ----------
    client_class : `type`
        The class. Its subclasses are then registered, too.
    """
    if TCPIP in sys.modules:
        _register(client_class, sys.modules[TCPIP])
    else:
        sys.meta_path.insert(0, _TcpipFinder(client_class))


def _register(client_class: type, tcpip: ModuleType) -> None:
    # Another package of that name is none of our business.
    register = getattr(getattr(tcpip, "Client", None), "register", None)
    if register is not None:
        register(client_class)


class _TcpipFinder(importlib.abc.MetaPathFinder):
    """Waits for the import of ``lsst.ts.tcpip``.

    It stays where it is for good: to remove it while another thread imports
    something would make that one skip a finder.
    """

    def __init__(self, client_class: type) -> None:
        self._client_class = client_class

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Have the others find the module, and see to it that it is loaded by `_TcpipLoader`."""
        if fullname != TCPIP:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _TcpipLoader(spec.loader, self._client_class)
                return spec
        return None


class _TcpipLoader(importlib.abc.Loader):
    """Loads the module as its own loader does, then registers the class."""

    def __init__(self, loader: importlib.abc.Loader, client_class: type) -> None:
        self._loader = loader
        self._client_class = client_class

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module; from then on it has its own loader only."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register(self._client_class, module)
