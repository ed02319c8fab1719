"""Classifiers, trained with scikit-learn on a table."""
