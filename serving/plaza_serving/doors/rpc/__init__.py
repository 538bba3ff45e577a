"""The gRPC door: `inference.GRPCInferenceService` over a plane. Only this package imports grpc."""
