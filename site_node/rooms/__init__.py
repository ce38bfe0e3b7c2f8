"""The storeys on which `wiring` puts a site together: what all stand on, what an order passes."""
