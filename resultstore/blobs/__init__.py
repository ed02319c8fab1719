"""Object stores: the contracts BlobStore and Signer, one package for each driver, and streaming."""
