"""Records: the contract of a fast, disposable index of Results, and its drivers."""
