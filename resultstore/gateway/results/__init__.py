"""Routes that look up, list, cancel, retry and delete Results and redirect to their Artifacts."""
