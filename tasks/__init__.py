"""The shipped worker application: images, reports, models and tables, made from what lies in the store."""
