"""The Flower side of the hub: SuperLink, gateway, ServerApp, aggregation."""
