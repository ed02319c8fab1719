"""The gateway: results by HTTP, and the signed bytes of a local store on a listener of their own."""
