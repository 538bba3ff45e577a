"""Training of the road-vehicle detector: data, model, loss, run, evaluation, bundle."""
