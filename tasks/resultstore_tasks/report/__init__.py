"""A PDF report of a table, drawn with reportlab."""
