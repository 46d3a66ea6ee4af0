"""``run_mtmount_telemetry_client --check``: will it work tonight? Publishes and creates nothing."""

from .all_checks import run_health_check
from .finding import Finding, Status

__all__ = ["Finding", "Status", "run_health_check"]
