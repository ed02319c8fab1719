"""Shipped worker application: tasks on images, documents, videos, tables and models."""
