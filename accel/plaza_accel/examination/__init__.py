"""The first opening of a bundle in a sandboxed child, and the certificate that comes of it."""
