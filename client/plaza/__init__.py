"""The SDK: `plaza.Client`, sync and async. Needs httpx and numpy, none of the rooms."""
