"""Inside the hospital: DICOM in, curated dataset, local training, the one door out."""
