"""Use of a released model at this hospital: the door's terms, images, network and results."""
