"""What was found, as one document: for a terminal, for a page, for machines."""
