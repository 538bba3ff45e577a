"""Order: what needs a hub comes last, so that its processes are nobody else's neighbours."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("hub") is not None)
