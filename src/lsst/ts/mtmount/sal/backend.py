"""Which SAL side serves the client: this package's own, or the installed salobj."""

from .controller import Controller

__all__ = ["make_controller"]


def make_controller(backend: str = "auto") -> Controller:
    """Make the controller of a backend.

    Parameters
    ----------
    backend : `str`
        ``"builtin"``, or ``"auto"``, which is the same.

    Raises
    ------
    ValueError
        If the backend is unknown.
    """
    if backend not in ("auto", "builtin"):
        raise ValueError(f"backend={backend!r} is none of 'auto', 'builtin'")
    return Controller()
