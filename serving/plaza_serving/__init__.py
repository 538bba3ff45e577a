"""Floor 2: data plane, doors, control, the Ray Serve application, supervisor and CLI."""
