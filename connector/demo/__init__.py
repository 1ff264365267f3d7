"""`connector demo`: the whole service with a made-up tenant, stand-ins and played calls."""
