"""Tables into Parquet, and previews of them."""
