"""What a provider package implements: the provider, what its sandbox admits, what a run costs."""
