"""Downloads of several Results as one ZIP, streamed by the gateway."""
