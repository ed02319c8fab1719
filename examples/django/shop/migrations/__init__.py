"""Migrations: none makes a table; the permissions of Report hang on the model."""
