"""The Ray Serve application. The only package that imports ray."""
