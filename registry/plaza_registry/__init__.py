"""Floor 1: bundles, blobs and versions. The only room for MLflow and for S3."""
