"""From a folder of DICOM files to a curated dataset."""
