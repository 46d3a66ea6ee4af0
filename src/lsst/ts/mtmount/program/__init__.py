"""What the program ``run_mtmount_telemetry_client`` needs around the client."""
