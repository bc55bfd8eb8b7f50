"""What fetching needs to know of the web: which addresses may be asked, how often, and how answers are unpacked."""
