"""Migrations: none makes a table; they add the model that the permissions of Report need."""
