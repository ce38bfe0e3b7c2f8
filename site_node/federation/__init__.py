"""The Flower side of the hospital: ClientApp and SuperNode."""
