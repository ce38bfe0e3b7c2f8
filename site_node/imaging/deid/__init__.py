"""De-identification: copies of DICOM objects that name nobody, and what was done to each."""
