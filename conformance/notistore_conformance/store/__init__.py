"""The contract of `notistore.store`, checked on any store."""
