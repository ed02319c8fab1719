"""Routes and views for looking results up, listing, deleting and following their links."""
