"""Examples that need no upload: the report and the classifier, made from tables that come with packages."""
