"""``run_mtmount_telemetry_client --check``: will it work tonight? Publishes and creates nothing."""

from .finding import Finding, Status
from .run import run_health_check

__all__ = ["Finding", "Status", "run_health_check"]
