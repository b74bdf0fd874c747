"""What an auditor runs without the connector: one file, which `connector audit verifier` hands out."""
