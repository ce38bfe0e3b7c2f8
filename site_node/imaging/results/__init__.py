"""What a released model says of images, written back as DICOM for the hospital's own PACS."""
