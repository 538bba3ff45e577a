"""The admin API's routes, one module per noun. Handlers translate; the rooms decide."""
