"""What a picture means to a model: decoding, fitting, decoders of detectors, drawing."""
